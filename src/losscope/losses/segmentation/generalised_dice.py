"""Generalised Dice loss: one Dice ratio over all classes, each weighted by 1/(its pixels)².

1 - 2 Σ_c w_c Σ_i p t / Σ_c w_c Σ_i (p + t) per sample, w_c = 1/(Σ_i t_ci)², so that a class counts by its error
relative to its size. 0 in the limit of infinite margins, at most 1. Neither convex nor proper. An absent class has no
weight of its own: it gets the largest weight of the sample's classes (as a class of few pixels), 1 where no class is
present. Trap: classes of a few pixels dominate value and gradient, and the loss is noisy between samples.
Source: Sudre et al., arXiv:1707.03237, sec. 2.1.
"""

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.regression.location import zero_floor
from losscope.losses.segmentation.overlap import (
    IGNORED,
    class_probabilities,
    counts,
    flat_classes,
    over_samples,
    relative_error,
)
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "GeneralisedDiceLoss", "generalised_dice_loss"]


def generalised_dice_loss(
    input: Tensor, target: Tensor, *, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    """Generalised Dice loss of softmax(``input``), per sample.

    ``input`` [N, C, …] logits, ``target`` [N, …] class indices; pixels whose target is ``ignore_index`` do not count.
    ``reduction`` "none" gives [N]. float16 and bfloat16 are computed and returned in float32. A class outside
    0 … C - 1 raises. Sudre et al., arXiv:1707.03237.

    >>> import torch
    >>> z = torch.tensor([[[9e3, 9e3, 0.0], [0.0, 0.0, 9e3]]])
    >>> round(float(generalised_dice_loss(z, torch.tensor([[0, 1, 1]]))), 6)  # w = 1, 1/4: 1.25/3.75
    0.333333
    """
    scores, t, kept = flat_classes(input, target, ignore_index)
    agreed, extra, missed = counts(class_probabilities(scores, kept), t)
    size = t.sum(-1)
    # Relative to the rarest class that is present: weights (smallest size / size)², 1 for what is absent.
    smallest = size.masked_fill(size == 0, torch.inf).amin(1, keepdim=True)
    weight = torch.where(size == 0, 1.0, (smallest / size.clamp(min=1.0)).square())
    wrong, right = (weight * (extra + missed)).sum(1), 2 * (weight * agreed).sum(1)
    return over_samples(relative_error(wrong, right), kept, reduction)


GeneralisedDiceLoss = as_module(generalised_dice_loss, "GeneralisedDiceLoss")

SPEC = LossSpec(
    name="generalised_dice",
    title="generalised Dice loss",
    also=("GDL",),
    family="segmentation",
    task="segmentation",
    formula=r"1-2\frac{\sum_c w_c\sum_i p_{ci}t_{ci}}{\sum_c w_c\sum_i(p_{ci}+t_{ci})},\quad w_c=1/(\sum_i t_{ci})^2",
    input_space="logits",
    function=generalised_dice_loss,
    module=GeneralisedDiceLoss,
    arguments=(Argument("input", "class-mask-logits"), Argument("target", "class-index-map")),
    variants=({"reduction": "sum"},),
    range=(0.0, 1.0),
    attained="in the limit of infinite margins",
    elicits="a mask, not a probability",
    claims=(
        Claim("permutation-equivariant"),
        Claim("shift-invariant"),
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the minimiser is a map of classes, not probabilities"),
    ),
    denominator="number of samples in which a pixel counts",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1707.03237",),
)
