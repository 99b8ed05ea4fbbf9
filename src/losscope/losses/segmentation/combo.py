"""Combo loss: cross-entropy over its base value, plus Dice; both parts are about 1 for a prediction without knowledge.

(1 - w)·CE/base + w·Dice per sample, with the mean cross-entropy over the pixels that count and ``base`` = ln C, the
cross-entropy of equal probabilities. Without the base, the weight of each part depends on the number of classes,
and the cross-entropy at the start dwarfs the Dice part. 0 in the limit of infinite margins; unbounded. The
cross-entropy keeps probabilities meaningful, though not calibrated, and gives a gradient where Dice has none.
Source: Taghanaki et al., arXiv:1805.02798; the normalisation is ours.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.regression.location import zero_floor
from losscope.losses.segmentation.multiclass_dice import multiclass_dice_loss
from losscope.losses.segmentation.overlap import IGNORED, flat_classes, over_samples
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "ComboLoss", "combo_loss"]


def combo_loss(
    input: Tensor,
    target: Tensor,
    *,
    dice_weight: float = 0.5,
    base: float | None = None,
    smooth: float = 1.0,
    classes: str = "all",
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """(1 - w)·CE/base + w·Dice per sample, w = ``dice_weight``; ``base`` is ln C by default (1 for one class).

    ``input`` [N, C, …] logits, ``target`` [N, …] class indices; ``smooth`` and ``classes`` as in
    :func:`multiclass_dice_loss`. Pixels whose target is ``ignore_index`` do not count. ``reduction`` "none" gives [N].
    float16 and bfloat16 are computed and returned in float32. A class outside 0 … C - 1 raises.

    >>> import torch
    >>> float(combo_loss(torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 2).long(), dice_weight=0.0))
    1.0
    """
    dice = multiclass_dice_loss(
        input, target, smooth=smooth, classes=classes, ignore_index=ignore_index, reduction="none"
    )
    scores, t, kept = flat_classes(input, target, ignore_index)
    entropy = -(t * scores.log_softmax(1)).sum((1, 2)) / kept.sum(1).clamp(min=1)
    if base is None:
        base = math.log(input.shape[1]) or 1.0
    return over_samples((1 - dice_weight) * entropy / base + dice_weight * dice, kept, reduction)


ComboLoss = as_module(combo_loss, "ComboLoss")

SPEC = LossSpec(
    name="combo",
    title="combo loss (cross-entropy and Dice)",
    family="segmentation",
    task="segmentation",
    formula=r"(1-w)\,\frac{\mathrm{CE}}{\ln C}+w\,\mathrm{Dice}",
    input_space="logits",
    function=combo_loss,
    module=ComboLoss,
    arguments=(Argument("input", "class-mask-logits"), Argument("target", "class-index-map")),
    variants=({"dice_weight": 0.9}, {"base": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of infinite margins",
    claims=(
        Claim("permutation-equivariant"),
        Claim("shift-invariant"),
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the Dice part pulls probabilities to 0 and 1"),
    ),
    denominator="number of samples in which a pixel counts",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1805.02798",),
)
