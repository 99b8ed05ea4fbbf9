"""Soft Dice loss over classes from logits: the Dice loss of every class against the rest, averaged.

Per sample and class 1 - (2Σ p t + s) / (Σp + Σt + s) with p the softmax over classes and t the one-hot target; then the
mean over all classes, or over those that occur in the sample (``classes="present"``). 0 in the limit of infinite
margins, at most 1. Adding one number to all scores of a pixel changes nothing. Neither convex nor proper. Trap: with
``classes="all"`` and no smoothing a class that is absent costs 1 for any trace of it that is predicted, and its
gradient is then large; "present" leaves that to the other classes, from which the mass was taken. Source: V-Net,
arXiv:1606.04797, one class against the rest.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.regression.location import zero_floor
from losscope.losses.segmentation.overlap import (
    IGNORED,
    class_probabilities,
    counts,
    flat_classes,
    over_classes,
    over_samples,
    relative_error,
)
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "MulticlassDiceLoss", "multiclass_dice_loss"]


def multiclass_dice_loss(
    input: Tensor,
    target: Tensor,
    *,
    smooth: float = 1.0,
    squared: bool = False,
    classes: str = "all",
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """Mean over classes of the soft Dice loss of softmax(``input``), per sample.

    ``input`` [N, C, …] logits, ``target`` [N, …] class indices; ``classes`` "all" or "present" in the sample; pixels
    whose target is ``ignore_index`` do not count. ``reduction`` "none" gives [N]. float16 and bfloat16 are computed and
    returned in float32. A class outside 0 … C - 1 raises.

    >>> import torch
    >>> z = torch.tensor([[[9e3, 9e3, 0.0], [0.0, 0.0, 9e3]]])
    >>> round(float(multiclass_dice_loss(z, torch.tensor([[0, 1, 1]]), smooth=0.0)), 6)  # 1/3 and 1/3
    0.333333
    """
    require_not_negative(smooth=smooth)
    scores, t, kept = flat_classes(input, target, ignore_index)
    p = class_probabilities(scores, kept)
    agreed, extra, missed = counts(p, t)
    wrong = (p - t).square().sum(-1) if squared else extra + missed
    losses = over_classes(relative_error(wrong, 2 * agreed + smooth), t, classes)
    return over_samples(losses, kept, reduction)


MulticlassDiceLoss = as_module(multiclass_dice_loss, "MulticlassDiceLoss")

SPEC = LossSpec(
    name="multiclass_dice",
    title="Dice loss over classes",
    family="segmentation",
    task="segmentation",
    formula=r"\frac1C\sum_c\Bigl(1-\frac{2\sum_i p_{ci}t_{ci}+s}{\sum_i p_{ci}+\sum_i t_{ci}+s}\Bigr)",
    input_space="logits",
    function=multiclass_dice_loss,
    module=MulticlassDiceLoss,
    arguments=(Argument("input", "class-mask-logits"), Argument("target", "class-index-map")),
    variants=({"squared": True}, {"classes": "present", "smooth": 0.0}, {"reduction": "sum"}),
    range=(0.0, 1.0),
    attained="in the limit of infinite margins",
    elicits="a mask, not a probability",
    claims=(
        Claim("permutation-equivariant"),
        Claim("shift-invariant"),
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the minimiser is a map of classes, not probabilities"),
    ),
    denominator="number of samples in which a pixel counts (and of classes)",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1606.04797",),
)
