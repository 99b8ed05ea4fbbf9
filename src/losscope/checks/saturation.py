"""How much gradient a wrong prediction has, by how wrong it is: a bounded logarithm has none left at the far end.

``-ln(p + ε)`` is a cross-entropy up to a score of about ln ε on the wrong side, and constant beyond. The gradient stays
as large as it ever was up to there and is gone a few units further on. Losses that are bounded by design (an absolute
error of probabilities, generalised cross-entropy) lose it gradually from the beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.subject import Case, NotALoss, Raised, Subject, gradients, replaced

WRONG_BY = (
    0.0,
    1.0,
    2.0,
    4.0,
    6.0,
    8.0,
    10.0,
    12.0,
    16.0,
    20.0,
    24.0,
    28.0,
    32.0,
    40.0,
    50.0,
    64.0,
    80.0,
    100.0,
)
_BEGINS = 4.0  # what is bounded by design has lost half of its gradient by then
_WITHIN = 16.0  # ε loses a factor of e with every unit, and the grid is coarse
_GONE = 1e-3
_SAMPLES = 2
_CLASSES = {("logits", "class-index"), ("class-mask-logits", "class-index-map"), ("logits", "one-hot")}
_BITS = {("binary-logits", "binary"), ("mask-logits", "mask")}


@dataclass(frozen=True, slots=True)
class Saturation:
    """The gradient is ``near`` for predictions that are wrong by ``before``, and ``gone`` for those wrong by ``at``."""

    before: float
    near: float
    at: float
    gone: float
    case: Case


def judged(subject: Subject) -> bool:
    """Whether what a wrong prediction is, is known."""
    return subject.kinds in _CLASSES | _BITS


def labels(subject: Subject) -> tuple[int, ...]:
    """Those that differ in kind: of bits both, of classes any."""
    return (1, 0) if subject.kinds in _BITS else (1,)


def scored(subject: Subject, margins: Tensor, label: int = 1) -> Case:
    """One sample per margin: scores that are right by so much, or, with a negative margin, wrong by so much.

    All samples have one label, so that weights of classes are all the same.
    """
    case = subject.case(0, N=len(margins))
    scores, target = torch.zeros_like(case[0]), case[1]
    size = margins.to(scores.dtype).reshape(-1, *[1] * (scores.dim() - 1))
    if subject.kinds in _BITS:
        sign = 2 * label - 1
        return replaced(case, {0: (scores + sign) * size, 1: torch.full_like(target, label)})
    axis = subject.axis(0, "C") or 1
    other = 0 if label else 1
    scores.select(axis, label).copy_(size.clamp(min=0).squeeze(axis).expand(scores.select(axis, label).shape))
    scores.select(axis, other).copy_(
        (-size).clamp(min=0).squeeze(axis).expand(scores.select(axis, other).shape)
    )
    hot = target if target.dtype.is_floating_point else torch.full_like(target, label)
    if target.dtype.is_floating_point:
        hot = F.one_hot(torch.full((len(target),), label), target.shape[1]).to(target.dtype)
    return replaced(case, {0: scores, 1: hot})


def pulls(subject: Subject, case: Sequence[Tensor]) -> Tensor | None:
    """[N]: 2-norm of the gradient of every sample; ``None`` where it is no number, or none arrives."""
    try:
        _, _, found = gradients(subject, case)
    except (Raised, NotALoss):
        return None
    slope = found[0]
    if slope is None or not bool(torch.isfinite(slope).all()):
        return None
    return slope.flatten(1).norm(dim=1)


def saturation(subject: Subject) -> Saturation | None:
    """Where the gradient of wrong predictions ends at once; ``None`` where it does not."""
    found: list[tuple[float, float]] = []
    for size in WRONG_BY:
        slope = pulls(subject, scored(subject, torch.full((_SAMPLES,), -size)))
        if slope is None:
            break
        found.append((size, float(slope[-1])))
    most = max((pull for _, pull in found), default=0.0)
    kept = [size for size, pull in found if pull >= 0.5 * most]
    if most <= 0 or not kept or kept[-1] < _BEGINS:
        return None
    gone = [(size, pull) for size, pull in found if size > kept[-1] and pull <= _GONE * most]
    if not gone or gone[0][0] - kept[-1] > _WITHIN:
        return None
    at, left = gone[0]
    near = next(pull for size, pull in found if size == kept[-1])
    return Saturation(kept[-1], near, at, left, scored(subject, torch.full((_SAMPLES,), -at)))
