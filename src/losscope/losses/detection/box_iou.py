"""IoU loss of boxes: 1 - intersection / union.

0 where the boxes are equal, 1 where they do not meet; there the gradient is 0 as well, so a box that misses its
target never finds it: use ``giou`` or ``diou``. It does not change if both boxes are scaled, unlike L1 of
coordinates. Boxes without area: 0 against an equal one, else 1. Trap: implementations that add an ε to the union give
tiny boxes a loss even where they are equal. Source: Yu et al., UnitBox, arXiv:1608.01471 (there with a logarithm).
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.detection.boxes import overlap
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "BoxIoULoss", "box_iou_loss"]


def box_iou_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """1 - IoU of pairs of boxes.

    ``input`` and ``target`` [..., 4] as x₁ y₁ x₂ y₂; "none" gives [...]. float16 and bfloat16 are computed and
    returned in float32. Raises ``BadUsage`` where the shapes differ.

    >>> import torch
    >>> a, b = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 1.0, 3.0, 3.0]])
    >>> round(float(box_iou_loss(a, b)), 6)  # 1 - 1/7
    0.857143
    """
    return reduce(1 - overlap(input, target).iou, reduction)


BoxIoULoss = as_module(box_iou_loss, "BoxIoULoss")

SPEC = LossSpec(
    name="box_iou",
    title="IoU loss of boxes",
    family="detection",
    task="detection",
    formula=r"1-\frac{|A\cap B|}{|A\cup B|}",
    input_space="boxes",
    function=box_iou_loss,
    module=BoxIoULoss,
    arguments=(Argument("input", "boxes"), Argument("target", "target-boxes")),
    variants=({"reduction": "sum"},),
    range=(0.0, 1.0),
    attained="where the boxes are equal",
    claims=(
        Claim("permutation-equivariant"),
        Claim("symmetric"),
        Claim("convex", holds=False),
        Claim("scale-invariant", holds=False, why="only if both boxes are scaled"),
    ),
    denominator="number of pairs of boxes",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1608.01471",),
)
