"""One update may have several backward roots: their anatomies become one objective."""

from collections.abc import Sequence
from dataclasses import replace

from losscope.anatomy.anatomy import Anatomy, Term
from losscope.anatomy.expression import expression


def merged(anatomies: Sequence[Anatomy], backwards: int) -> Anatomy:
    """The sum of the roots of one update, of which ``backwards`` were run and the first few were read.

    Equal roots are one root with as many times the coefficient: four passes of ``loss / 4`` are
    ``1.0 · loss``. Roots on other targets (a discriminator on real and on fake samples) stay apart.
    """
    groups: dict[tuple[str, ...], list[Anatomy]] = {}
    for anatomy in anatomies:
        groups.setdefault(_key(anatomy), []).append(anatomy)
    if len(groups) == 1:
        repeats = max(backwards, len(anatomies))
        return anatomies[0] if repeats == 1 else _times(anatomies[0], repeats)
    parts = [_times(group[0], len(group)) for group in groups.values()]
    terms = tuple(term for part in parts for term in part.terms)
    leaves = {id(p): p for part in parts for p in part.parameters}
    return replace(
        parts[0],
        expression=expression(terms),
        terms=terms,
        value=sum(part.value for part in parts),
        signature="+".join(part.signature for part in parts),
        parameters=tuple(leaves.values()),
        inputs=tuple(t for part in parts for t in part.inputs),
    )


def _times(anatomy: Anatomy, count: int) -> Anatomy:
    if count == 1:
        return anatomy
    terms = tuple(replace(term, coefficient=term.coefficient * count) for term in anatomy.terms)
    return replace(anatomy, expression=expression(terms), terms=terms, value=anatomy.value * count)


def _key(anatomy: Anatomy) -> tuple[str, ...]:
    return (anatomy.signature, *(f"{term.target_name}|{_constant(term)}" for term in anatomy.terms))


def _constant(term: Term) -> float | None:
    """The value of a constant target: one label tensor may be refilled between two roots."""
    target = term.target
    if "constant-target" not in term.notes or target is None or not target.numel() or not target.is_cpu:
        return None
    return float(target.flatten()[0])
