"""Generalised IoU loss: 1 - IoU + (share of the boxes' hull that neither covers).

0 where the boxes are equal, up to 2 for small boxes far apart. Boxes that do not meet are drawn together, first by
growing the predicted one. Where one box holds the other, it is the IoU loss. Boxes without area: 0 against an equal
one; two different points, whose hull has no area, cost 1. Source: Rezatofighi et al., arXiv:1902.09630.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.detection.boxes import area, overlap, ratio
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "GIoULoss", "giou_loss"]


def giou_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """1 - GIoU of pairs of boxes.

    ``input`` and ``target`` [..., 4] as x₁ y₁ x₂ y₂; "none" gives [...]. float16 and bfloat16 are computed and
    returned in float32. Raises ``BadUsage`` where the shapes differ.

    >>> import torch
    >>> a, b = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 1.0, 3.0, 3.0]])
    >>> round(float(giou_loss(a, b)), 6)  # 1 - 1/7 + 2/9
    1.079365
    """
    o = overlap(input, target)
    hull = area(o.hull)
    return reduce(1 - o.iou + ratio(hull - o.union, hull), reduction)


GIoULoss = as_module(giou_loss, "GIoULoss")

SPEC = LossSpec(
    name="giou",
    title="generalised IoU loss",
    family="detection",
    task="detection",
    formula=r"1-\frac{|A\cap B|}{|A\cup B|}+\frac{|H|-|A\cup B|}{|H|}",
    input_space="boxes",
    function=giou_loss,
    module=GIoULoss,
    arguments=(Argument("input", "boxes"), Argument("target", "target-boxes")),
    variants=({"reduction": "sum"},),
    range=(0.0, 2.0),
    attained="where the boxes are equal",
    claims=(
        Claim("permutation-equivariant"),
        Claim("symmetric"),
        Claim("convex", holds=False),
        Claim("scale-invariant", holds=False, why="only if both boxes are scaled"),
    ),
    denominator="number of pairs of boxes",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1902.09630",),
)
