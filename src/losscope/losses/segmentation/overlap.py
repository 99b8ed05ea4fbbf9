"""What the overlap losses share: soft counts per sample, with ignored pixels left out of value and gradient."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.reduction import full_precision, reduce, same_shape

IGNORED = -100
"""Target value of pixels that do not count, as in ``F.cross_entropy``."""


class Counts(NamedTuple):
    """Soft numbers of pixels: agreed Σpt, extra Σp(1-t) (false positives), missed Σ(1-p)t (false negatives)."""

    agreed: Tensor
    extra: Tensor
    missed: Tensor


def flat_masks(input: Tensor, target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Prediction, mask and which pixels count, each [N, P]. What is ignored is 0 in both, NaN included."""
    same_shape(input, target)
    input, target = full_precision(input, target)
    ignored = target == ignore_index
    mask = target.to(input.dtype).masked_fill(ignored, 0.0)
    return input.masked_fill(ignored, 0.0).flatten(1), mask.flatten(1), ~ignored.flatten(1)


def check_classes(input: Tensor, target: Tensor) -> None:
    """Refuse anything but scores [N, C, …] and class indices [N, …]."""
    if input.dim() < 2 or target.shape != input.shape[:1] + input.shape[2:] or target.is_floating_point():
        raise BadUsage(
            "input must be [N, C, …] and target [N, …] of class indices",
            seen=f"{tuple(input.shape)} and {tuple(target.shape)} of {target.dtype}",
            remedy="one class index per sample or pixel, without the class axis",
        )


def flat_classes(input: Tensor, target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and one-hot target [N, C, P] and which pixels count [N, P], from scores [N, C, …] and classes [N, …].

    Scores and target of ignored pixels are 0. A class that is not in 0 … C - 1 raises.
    """
    check_classes(input, target)
    (input,) = full_precision(input)
    shape = (*input.shape[:2], math.prod(input.shape[2:]))
    scores, classes = input.reshape(shape), target.reshape(shape[0], shape[2]).long()
    ignored = classes == ignore_index
    scores = scores.masked_fill(ignored[:, None], 0.0)
    one_hot = torch.zeros_like(scores).scatter(1, classes.masked_fill(ignored, 0)[:, None], 1.0)
    return scores, one_hot.masked_fill(ignored[:, None], 0.0), ~ignored


def class_probabilities(scores: Tensor, kept: Tensor) -> Tensor:
    """Softmax over classes [N, C, P], 0 at pixels that do not count."""
    return scores.softmax(1).masked_fill(~kept[:, None], 0.0)


def counts(p: Tensor, t: Tensor) -> Counts:
    """Soft counts over the last axis. All three are sums of terms ≥ 0, so nothing cancels where p and t agree."""
    return Counts((p * t).sum(-1), (p * (1 - t)).sum(-1), ((1 - p) * t).sum(-1))


def relative_error(wrong: Tensor, right: Tensor) -> Tensor:
    """wrong / (wrong + right) for numbers ≥ 0; 0/0 (nothing was there, nothing was predicted) is agreement, 0."""
    total = wrong + right
    return wrong / total.masked_fill(total == 0, 1.0)


def over_classes(losses: Tensor, one_hot: Tensor, classes: str) -> Tensor:
    """Mean of losses [N, C] over all classes, or over those that occur in the sample (0 where none does)."""
    if classes not in ("all", "present"):
        raise BadUsage("unknown choice of classes", seen=repr(classes), remedy="use 'all' or 'present'")
    if classes == "all":
        return losses.mean(1)
    present = (one_hot.sum(-1) > 0).to(losses.dtype)
    return (losses * present).sum(1) / present.sum(1).clamp(min=1.0)


def over_samples(losses: Tensor, kept: Tensor, reduction: str) -> Tensor:
    """Reduce losses [N]; a sample in which no pixel of ``kept`` [N, P] counts does not count in the mean either."""
    return reduce(losses, reduction, kept.any(-1))
