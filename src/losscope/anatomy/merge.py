"""Reads many equal terms as one: penalties over parameters, and losses summed in a loop."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.losses.catalogue import specs

MANY = 4
_MAX_ELEMENTS = 1 << 20


def merge(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Merge penalties of one kind and coefficient, and ``MANY`` or more otherwise equal terms.

    A merged penalty is the sum over its parameters. A merged loss has the sum of the coefficients and
    the (weighted) mean of the values, so that it compares with the chance level of one.
    """
    if len(terms) < 2:
        return tuple(terms)
    terms = _one_prediction(_as_policy_gradient(terms))
    groups: dict[tuple, list[Term]] = {}
    for term in terms:
        groups.setdefault(_key(term), []).append(term)
    merged: list[Term] = []
    done: set[tuple] = set()
    for term in terms:
        key = _key(term)
        group = groups[key]
        penalty = term.spec is not None and term.spec.task == "penalty"
        if len(group) == 1 or (len(group) < MANY and not penalty):
            merged.append(term)
        elif key not in done:
            done.add(key)
            merged.append(_sum(group) if penalty else _mean(group))
    return tuple(merged)


def _as_policy_gradient(terms: Sequence[Term]) -> Sequence[Term]:
    """A loop of log-probabilities of sampled actions, each times its own return, as REINFORCE is written."""
    steps = [t for t in terms if t.options.get("distribution_form")]
    if len(steps) < MANY or len({round(t.coefficient, 9) for t in steps}) < MANY - 1:
        return terms
    known = [t.coefficient * t.value if t.value is not None else 0.0 for t in steps]
    complete = all(t.value is not None or t.coefficient == 0 for t in steps)
    surrogate = replace(
        steps[-1],
        kind="policy_gradient",
        spec=specs()["policy_gradient"],
        coefficient=1.0,
        reduction="sum",
        value=sum(known) if complete else None,
        options={"num_classes": steps[-1].options.get("num_classes"), "target": "class"},
        prediction=_joined([t.prediction for t in steps]),
        target=_joined([t.target for t in steps]),
        floor=None,
        parameters=_union(steps),
        count=len(steps),
    )
    first = terms.index(steps[0])
    rest = [t for t in terms if not t.options.get("distribution_form")]
    position = sum(1 for t in terms[:first] if not t.options.get("distribution_form"))
    return [*rest[:position], surrogate, *rest[position:]]


def _one_prediction(terms: Sequence[Term]) -> Sequence[Term]:
    """Losses of one kind on the same prediction with other targets as one: mixup's λ·ℓ(f, a) + (1 − λ)·ℓ(f, b).

    So too a discriminator's two losses of equal weight, each on a constant target.
    """
    groups: dict[tuple, list[Term]] = {}
    for term in terms:
        groups.setdefault(_pair_key(term), []).append(term)
    merged = []
    for term in terms:
        group = groups[_pair_key(term)]
        if len(group) != 2 or not all(t.coefficient > 0 for t in group) or not _paired(*group):
            merged.append(term)
        elif term is group[0]:
            joined = _mean(group)
            notes = tuple(note for note in joined.notes if note != "constant-target")
            merged.append(replace(joined, notes=notes, count=1))
    return merged


def _paired(one: Term, other: Term) -> bool:
    """The same prediction twice (each call keeps its own copy of it), or two constant targets."""
    if _pair_key(one)[-3:-2] == ("constant",):
        return True
    first, second = one.prediction, other.prediction
    if first is None or second is None or first.numel() > _MAX_ELEMENTS or first.device != second.device:
        return False
    return torch.equal(first, second)


def _pair_key(term: Term) -> tuple:
    judged = term.target is not None and term.prediction is not None and term.sample_weight is None
    if not judged or term.spec is None or term.prediction is None:
        return (id(term),)
    where: tuple = tuple(term.prediction.shape)
    if "constant-target" in term.notes and term.spec.task == "binary":
        where = ("constant", float(f"{term.coefficient:.6g}"), term.prediction_shape[1:])
    options = repr(sorted((k, str(v)) for k, v in term.options.items()))
    return (term.kind, term.reduction, options, term.activation, *where)


def _key(term: Term) -> tuple:
    if term.kind == "constant":
        return (id(term),)
    coefficient = float(f"{term.coefficient:.6g}")
    if term.spec is not None and term.spec.task == "penalty":
        return (term.kind, coefficient)
    options = repr(sorted((k, str(v)) for k, v in term.options.items()))
    return (
        *(term.kind, coefficient, term.reduction, options),
        *(term.prediction_shape[1:], term.activation, term.notes),
    )


def _sum(group: Sequence[Term]) -> Term:
    values = [t.value for t in group]
    known = [v for v in values if v is not None]
    value = sum(known) if len(known) == len(values) else None
    return replace(group[0], value=value, parameters=_union(group), count=len(group))


def _mean(group: Sequence[Term]) -> Term:
    total = sum(t.coefficient for t in group)
    known = [t.coefficient * t.value for t in group if t.value is not None]
    value = sum(known) / total if len(known) == len(group) and total else None
    return replace(
        group[0],
        coefficient=total,
        value=value,
        prediction=_joined([t.prediction for t in group]),
        target=_joined([t.target for t in group]),
        sample_weight=None,
        parameters=_union(group),
        count=len(group),
    )


def _union(group: Sequence[Term]) -> tuple[Tensor, ...]:
    return tuple({id(p): p for t in group for p in t.parameters}.values())


def _joined(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """All tensors one after another along the first axis, or the last one where they do not fit."""
    found = [t for t in tensors if t is not None]
    if len(found) < len(tensors):
        return None
    fits = {(t.shape[1:], t.dtype, t.device) for t in found if t.dim() > 0}
    if len(fits) != 1 or any(t.dim() == 0 for t in found) or sum(t.numel() for t in found) > _MAX_ELEMENTS:
        return found[-1]
    return torch.cat(found)
