"""Between which levels the data term lies: its floor, and what the best constant prediction gives.

Both are means over the batches with the factors with which their losses enter the objective, so that they are at the
scale of its value: per sample, for a loss that sums.
"""

from collections.abc import Sequence

from losscope.anatomy.anatomy import Anatomy, Term
from losscope.losses.target_stats import TargetStats


def floor(anatomies: Sequence[Anatomy | None], factors: Sequence[float]) -> float | None:
    """The smallest value by the contracts of the losses; ``None`` where one is unknown."""
    total = 0.0
    for factor, terms in _counting(anatomies, factors):
        for term in terms:
            if term.floor is None or term.coefficient < 0:
                return None
            total += factor * term.coefficient * term.floor
        if not terms:
            return None
    return total


def chance(anatomies: Sequence[Anatomy | None], factors: Sequence[float]) -> float | None:
    """The value for the best constant prediction of all targets; ``None`` where one is unknown."""
    batches = _counting(anatomies, factors)
    first = batches[0][1] if batches else ()
    if not first or any(len(terms) != len(first) for _, terms in batches):
        return None
    total = 0.0
    for column in zip(*(terms for _, terms in batches), strict=True):
        level = _of_an_element(column)
        if level is None:
            return None
        for (factor, _), term in zip(batches, column, strict=True):
            own = TargetStats()
            term.observe(own)
            total += factor * term.coefficient * term.elements(own) * level
    return total


def _counting(
    anatomies: Sequence[Anatomy | None], factors: Sequence[float]
) -> list[tuple[float, tuple[Term, ...]]]:
    """Factor and terms of the batches that count."""
    pairs = zip(factors, anatomies, strict=True)
    return [(factor, () if anatomy is None else anatomy.terms) for factor, anatomy in pairs if factor]


def _of_an_element(column: Sequence[Term]) -> float | None:
    """The level of one element, of a term with the targets of all batches."""
    term, stats = column[0], TargetStats()
    if term.spec is None or term.spec.chance is None or any(t.spec is not term.spec for t in column):
        return None
    for each in column:
        each.observe(stats)
    level = term.spec.chance(stats, term.options)
    return None if level is None else level.value
