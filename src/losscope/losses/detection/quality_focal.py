"""Quality focal loss |t - p|^β · BCE(p, t): focal loss for a target t in [0, 1], the IoU of the predicted box.

One score says both that there is an object and how well its box fits. For t in {0, 1} it is the focal loss with γ = β
(without α). At p = t the factor is 0 for every t, so that, unlike BCE at soft targets, the loss reaches 0. Not convex
in the logit, not proper. β = 2 is usual; it must be at least 1 for a finite gradient at p = t. The IoU that makes the
target must be detached. Source: Li et al., arXiv:2006.04388, eq. 5.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "QualityFocalLoss", "quality_focal_loss"]


def quality_focal_loss(
    input: Tensor, target: Tensor, *, beta: float = 2.0, reduction: str = "mean"
) -> Tensor:
    """|t - σ(x)|^β (-t ln σ(x) - (1 - t) ln(1 - σ(x))) of logits ``input`` and ``target`` in [0, 1] of one shape.

    ``beta`` ≥ 1. float16 and bfloat16 are computed and returned in float32. Raises ``BadUsage`` where the shapes
    differ.

    >>> import torch
    >>> float(quality_focal_loss(torch.zeros(1), torch.full((1,), 0.5)))
    0.0
    """
    require_not_negative(beta=beta)
    same_shape(input, target)
    input, target = full_precision(input, target)
    t = target.to(input.dtype)
    entropy = F.binary_cross_entropy_with_logits(input, t, reduction="none")
    return reduce((t - input.sigmoid()).abs() ** beta * entropy, reduction)


QualityFocalLoss = as_module(quality_focal_loss, "QualityFocalLoss")

SPEC = LossSpec(
    name="quality_focal",
    title="quality focal loss",
    family="detection",
    task="detection",
    formula=r"|t-p|^\beta\bigl(-t\ln p-(1-t)\ln(1-p)\bigr)",
    input_space="logits",
    function=quality_focal_loss,
    module=QualityFocalLoss,
    arguments=(Argument("input", "binary-logits"), Argument("target", "unit")),
    variants=({"beta": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where σ(x) is the target",
    elicits="a compromise between the mean and the middle of the targets",
    claims=(Claim("permutation-equivariant"), Claim("convex", holds=False)),
    floor=zero_floor,
    references=("https://arxiv.org/abs/2006.04388",),
)
