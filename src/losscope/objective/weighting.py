"""With what weight the loss of each batch enters the mean over all data.

A batch's mean loss counts as often as its denominator says: samples, or targets that are not ignored, weighted as the
loss weights them. An unweighted mean over batches is wrong by several per cent where the last one is short. A loss
that sums enters with one over the number of samples.
"""

from collections.abc import Sequence

from torch import Tensor

from losscope.anatomy.anatomy import Anatomy, Term
from losscope.objective.batches import Batch


def coefficients(anatomies: Sequence[Anatomy | None], batches: Sequence[Batch]) -> list[float]:
    """One coefficient per batch: L = Σ coefficient × loss of the batch."""
    total = sum(batch.samples for batch in batches)
    mains = [main_term(anatomy) for anatomy in anatomies]
    if all(term is not None and term.reduction == "sum" for term in mains):
        return [1 / total] * len(batches)
    counts = [denominator(term) for term in mains]
    weights = [c for c in counts if c is not None]
    if len(weights) < len(batches) or sum(weights) <= 0:
        weights = [float(batch.samples) for batch in batches]
    return [weight / sum(weights) for weight in weights]


def main_term(anatomy: Anatomy | None) -> Term | None:
    """The first term with a target."""
    return None if anatomy is None else next((t for t in anatomy.terms if t.target is not None), None)


def denominator(term: Term | None) -> float | None:
    """What the mean of a term divides by; ``None`` where that is not known."""
    if term is None or term.target is None or term.reduction not in ("mean", "masked-mean", "batchmean"):
        return None
    target = term.target
    if term.reduction == "batchmean":
        return float(target.shape[0]) if target.dim() else 1.0
    if term.sample_weight is not None:
        return None
    if target.is_floating_point() or term.options.get("target") != "class":
        return float(target.numel())
    kept = target[target != term.options.get("ignore_index", -100)]
    weight = term.options.get("weight")
    if isinstance(weight, list | tuple | Tensor):
        return float(sum(float(weight[int(k)]) * n for k, n in zip(*_counted(kept), strict=True)))
    return float(kept.numel())


def _counted(labels: Tensor) -> tuple[list[int], list[int]]:
    values, counts = labels.unique(return_counts=True)
    return values.tolist(), counts.tolist()
