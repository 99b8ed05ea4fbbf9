"""With what factor the loss of each batch enters the mean over all data.

A batch's mean loss counts as often as its denominator says: samples, targets that are not ignored, elements that a mask
leaves, or the sum of their weights, as the loss divides by it. An unweighted mean over batches is wrong by several per
cent where the last one is short. The denominator is what the reduction has in its place divided by the coefficient
that the graph shows: a sum times 1/d is a mean over d. A loss that sums, with the same coefficient in each batch,
enters with one over the number of samples. Whether a coefficient is that of a mean, ``_mean`` tells.

Of several terms the first with a target decides, or else the first that is no penalty. What reduces to one number by
other ways (a root of a mean, a ratio of sums) has no denominator: then batches count by their samples. Of one weighted
sample alone, w·ℓ/w, no weight is left in the graph; it counts as 1.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from torch import Tensor

from losscope.anatomy.anatomy import Anatomy, Term
from losscope.objective.batches import Batch

_SAME = 1e-6  # relative: divisors of sums, in float32
_ONE = 1 + _SAME


class Weighing(NamedTuple):
    """L = Σ factor × loss of the batch, and what the factors were taken from."""

    factors: list[float]
    by: Literal["sum", "denominator", "samples"]


def weigh(
    anatomies: Sequence[Anatomy | None], batches: Sequence[Batch], seen: Sequence[Sequence[float]]
) -> Weighing:
    """One factor per batch: they sum to 1, or for a loss that sums are one over the number of samples each.

    ``seen`` are the factors of the parts of each batch's loss, as its graph has them.
    """
    total = sum(batch.samples for batch in batches)
    mains = [main_term(anatomy) for anatomy in anatomies]
    known = [term for term in mains if term is not None]
    if len(known) == len(batches):
        pairs = list(zip(known, batches, strict=True))
        shares = [_share(term, batch, own) for (term, batch), own in zip(pairs, seen, strict=True)]
        weights = [share for share in shares if share is not None]
        if len(weights) == len(batches) and 0 < sum(weights) < math.inf:
            if any(_sums(term, batch) for term, batch in pairs) and not _mean(weights, batches):
                return Weighing([1 / total] * len(batches), "sum")
            return Weighing([weight / sum(weights) for weight in weights], "denominator")
    return Weighing([batch.samples / total for batch in batches], "samples")


def main_term(anatomy: Anatomy | None) -> Term | None:
    """The first term with a target, or else the first that is no penalty."""
    if anatomy is None:
        return None
    data = [t for t in anatomy.terms if t.kind != "constant" and (t.spec is None or t.spec.task != "penalty")]
    return next((t for t in data if t.target is not None), data[0] if data else None)


def _mean(divisors: Sequence[float], batches: Sequence[Batch]) -> bool:
    """Whether what sums were divided by makes means of them: another number for each batch.

    If it is the same for all, it is a multiple of the samples of each. Of one batch alone ``0.1 · sum`` and a sum over
    ten boxes look the same: then a divisor above 2 that is nearer to the number of samples than to 1, on a scale of
    ratios, is a mean's.
    """
    counting = [(d, batch.samples) for d, batch in zip(divisors, batches, strict=True) if d]
    largest = max(divisors)
    if largest - min(d for d, _ in counting) > _SAME * largest:
        return True
    if all(_whole(largest / samples) for _, samples in counting):
        return largest > _ONE
    return len(counting) == 1 and largest > 2 and largest**2 > counting[0][1]


def _whole(number: float) -> bool:
    return round(number) >= 1 and abs(number - round(number)) <= _SAME * number


def _sums(term: Term, batch: Batch) -> bool:
    """Whether a term is a sum over samples. Of what is not recognised the first axis has to be theirs."""
    if term.reduction != "sum":
        return False
    return term.spec is not None or (
        len(term.prediction_shape) > 0 and term.prediction_shape[0] == batch.samples
    )


def _share(term: Term, batch: Batch, seen: Sequence[float]) -> float | None:
    """What the loss of a batch really divides its sum by; 0 where nothing counts."""
    weight = term.sample_weight
    if (term.spec is None and math.inf in seen) or (weight is not None and not bool((weight != 0).any())):
        return 0.0
    if weight is not None and term.reduction in ("masked-mean", "weighted-mean"):
        return _of_weights(term, weight, seen)
    count = _count(term) if term.reduction in ("mean", "batchmean") else _one(term, batch)
    return None if count is None else _over(count, term.coefficient)


def _of_weights(term: Term, weight: Tensor, seen: Sequence[float]) -> float:
    """The sum of the weights: each once, or as often as it is broadcast, whichever has its inverse in the graph."""
    once = float(weight.double().sum())
    often = once * max(1, math.prod(term.prediction_shape) // weight.numel())
    shares = [_over(total, term.coefficient) for total in (once, often)]
    return next((d for d in shares if any(math.isclose(d * f, 1, rel_tol=1e-4) for f in seen)), shares[0])


def _over(count: float, coefficient: float) -> float:
    share = abs(count / coefficient) if coefficient else math.nan
    return share if math.isfinite(share) else 0.0  # 0/0: a mean over nothing


def _one(term: Term, batch: Batch) -> float | None:
    """1, for a sum; ``None`` for one number of which nothing says that it is one over samples."""
    if term.reduction == "none" and math.prod(term.prediction_shape) == 1:
        return None
    alone = term.spec is None and term.reduction == "sum" and term.coefficient == 1
    return None if alone and not _sums(term, batch) else 1.0


def denominator(term: Term | None) -> float | None:
    """What the reduction of a term divides by; ``None`` where that is not known, or samples have weights."""
    known = term is not None and term.sample_weight is None and term.reduction in ("mean", "batchmean")
    return _count(term) if term is not None and known else None


def _count(term: Term) -> float:
    """What a mean or a "batchmean" divides by."""
    target, prediction = term.target, term.prediction
    if term.reduction == "batchmean":
        shape = term.prediction_shape if target is None else target.shape
        return float(shape[0]) if shape else 1.0
    if term.options.get("target") == "sequence":  # connectionist temporal classification: [T, N, C]
        return float(prediction.shape[1]) if prediction is not None and prediction.dim() == 3 else 1.0
    if target is None:
        return float(math.prod(term.prediction_shape))
    if target.is_floating_point() or term.options.get("target") != "class":
        return float(target.numel())
    if term.options.get("ignored_as_zero"):
        return float(target.numel())
    kept = target[target != term.options.get("ignore_index", -100)]
    weights = term.options.get("weight")
    if isinstance(weights, list | tuple | Tensor) and term.options.get("normalised_weights", True):
        return float(sum(float(weights[int(k)]) * n for k, n in zip(*_counted(kept), strict=True)))
    return float(kept.numel())


def _counted(labels: Tensor) -> tuple[list[int], list[int]]:
    values, counts = labels.unique(return_counts=True)
    return values.tolist(), counts.tolist()
