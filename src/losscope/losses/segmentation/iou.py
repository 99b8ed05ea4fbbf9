"""Soft IoU (Jaccard) loss 1 - (Σpt + s) / (Σp + Σt - Σpt + s) per sample.

0 where prediction and mask agree, at most 1. For masks it is 2D/(1 + D) of the Dice loss D, so both have the same
minimiser; it punishes a single bad sample more. Empty mask, empty prediction: 0. It is neither convex nor proper.
Traps: as for ``dice``; Σpt is the intersection only for masks of 0 and 1, so at soft masks p = t costs more than 0.
A convex surrogate is ``lovasz_hinge``. Source: Rahman and Wang 2016, doi:10.1007/978-3-319-50835-1_22.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.regression.location import zero_floor
from losscope.losses.segmentation.overlap import IGNORED, counts, flat_masks, over_samples, relative_error
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "IoULoss", "iou_loss"]


def iou_loss(
    input: Tensor,
    target: Tensor,
    *,
    smooth: float = 1.0,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """Soft Jaccard loss of probabilities, per sample over all further axes: 1 - (Σpt + s) / (Σp + Σt - Σpt + s).

    ``input`` and ``target`` [N, …] in [0, 1]; ``smooth`` s ≥ 0. Pixels whose target is ``ignore_index`` do not count.
    ``reduction`` "none" gives [N]. float16 and bfloat16 are computed and returned in float32. Raises ``BadUsage`` where
    the shapes differ.

    >>> import torch
    >>> p, t = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    >>> round(float(iou_loss(p, t, smooth=0.0)), 6)
    0.666667
    """
    require_not_negative(smooth=smooth)
    p, t, kept = flat_masks(input, target, ignore_index)
    agreed, extra, missed = counts(p, t)
    return over_samples(relative_error(extra + missed, agreed + smooth), kept, reduction)


IoULoss = as_module(iou_loss, "IoULoss")

SPEC = LossSpec(
    name="iou",
    title="soft IoU (Jaccard) loss",
    also=("Jaccard", "soft IoU"),
    family="segmentation",
    task="segmentation",
    formula=r"1-\frac{\sum_i p_i t_i+s}{\sum_i p_i+\sum_i t_i-\sum_i p_i t_i+s}",
    input_space="probabilities",
    function=iou_loss,
    module=IoULoss,
    arguments=(Argument("input", "mask-probabilities"), Argument("target", "mask")),
    variants=({"smooth": 0.0}, {"reduction": "sum"}),
    range=(0.0, 1.0),
    attained="where prediction and mask agree",
    elicits="a mask, not a probability",
    claims=(
        Claim("permutation-equivariant"),
        Claim("symmetric"),
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the minimiser is a mask, not a probability"),
    ),
    denominator="number of samples in which a pixel counts",
    floor=zero_floor,
    references=("https://doi.org/10.1007/978-3-319-50835-1_22",),
)
