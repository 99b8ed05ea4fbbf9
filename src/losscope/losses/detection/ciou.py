"""Complete IoU loss: distance IoU loss plus α v, v the difference of the aspect ratios.

v = (4/π²)(arctan(w'/h') - arctan(w/h))² and α = v / (1 - IoU + v). α is a weight and is held constant in the
gradient, as the authors do, so that the gradient is not the slope of the value. 0 where the boxes are equal, at most
2.5. Boxes without area: 0 against an equal one; one without width and height has the angle 0. Source: Zheng et al.,
arXiv:1911.08287, eq. 10.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.detection.boxes import centre_distance, overlap, ratio
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "CIoULoss", "ciou_loss"]


def ciou_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """1 - CIoU of pairs of boxes; the weight of the aspect term carries no gradient.

    ``input`` and ``target`` [..., 4] as x₁ y₁ x₂ y₂; "none" gives [...]. float16 and bfloat16 are computed and
    returned in float32. Raises ``BadUsage`` where the shapes differ.

    >>> import torch
    >>> a, b = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 1.0, 3.0, 3.0]])
    >>> round(float(ciou_loss(a, b)), 6)  # equal shapes: the DIoU loss
    0.968254
    """
    o = overlap(input, target)
    v = (4 / math.pi**2) * (_angle(o.target_size) - _angle(o.size)).square()
    alpha = ratio(v, 1 - o.iou + v).detach()
    return reduce(1 - o.iou + centre_distance(o) + alpha * v, reduction)


def _angle(size: Tensor) -> Tensor:
    """arctan(width / height), 0 for a point, with finite gradient there."""
    width, height = size[..., 0], size[..., 1]
    point = width.square() + height.square() == 0
    return torch.atan2(width, height.masked_fill(point, 1.0))


CIoULoss = as_module(ciou_loss, "CIoULoss")

SPEC = LossSpec(
    name="ciou",
    title="complete IoU loss",
    family="detection",
    task="detection",
    formula=r"1-\mathrm{IoU}+\frac{\lVert c_A-c_B\rVert^2}{d_H^2}+\alpha v",
    input_space="boxes",
    function=ciou_loss,
    module=CIoULoss,
    arguments=(Argument("input", "boxes"), Argument("target", "target-boxes")),
    variants=({"reduction": "sum"},),
    range=(0.0, 2.5),
    attained="where the boxes are equal",
    claims=(
        Claim("permutation-equivariant"),
        Claim("symmetric"),
        Claim("convex", holds=False),
        Claim("scale-invariant", holds=False, why="only if both boxes are scaled"),
    ),
    gradient_kind="detached",
    exceptions={
        "gradient": "the weight α of the aspect term is held constant, as the authors do",
        "second-gradient": "the weight α of the aspect term is held constant, as the authors do",
    },
    denominator="number of pairs of boxes",
    floor=zero_floor,
    references=("https://arxiv.org/abs/1911.08287",),
)
