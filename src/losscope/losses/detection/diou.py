"""Distance IoU loss: 1 - IoU + squared distance of the centres over the squared diagonal of the hull.

0 where the boxes are equal, up to 2. Moves the centre directly, also where the boxes do not meet or one holds the
other; faster than ``giou``. It does not see the shape of concentric boxes of equal IoU: ``ciou``. Boxes without area:
0 against an equal one. Source: Zheng et al., arXiv:1911.08287, eq. 7.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.detection.boxes import centre_distance, overlap
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "DIoULoss", "diou_loss"]


def diou_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """1 - DIoU of pairs of boxes.

    ``input`` and ``target`` [..., 4] as x₁ y₁ x₂ y₂; "none" gives [...]. float16 and bfloat16 are computed and
    returned in float32. Raises ``BadUsage`` where the shapes differ.

    >>> import torch
    >>> a, b = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 1.0, 3.0, 3.0]])
    >>> round(float(diou_loss(a, b)), 6)  # 1 - 1/7 + 2/18
    0.968254
    """
    o = overlap(input, target)
    return reduce(1 - o.iou + centre_distance(o), reduction)


DIoULoss = as_module(diou_loss, "DIoULoss")

SPEC = LossSpec(
    name="diou",
    title="distance IoU loss",
    family="detection",
    task="detection",
    formula=r"1-\mathrm{IoU}+\frac{\lVert c_A-c_B\rVert^2}{d_H^2}",
    input_space="boxes",
    function=diou_loss,
    module=DIoULoss,
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
    references=("https://arxiv.org/abs/1911.08287",),
)
