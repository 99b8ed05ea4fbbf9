"""Gradient-enhanced residual of a differential equation: mean r² + λ mean ‖∇r‖².

Where the equation holds everywhere, its residual is constant in space and time, so the derivatives of the residual
are 0 too. Penalising them uses each collocation point for more than one equation: fewer points reach the same error.
It costs one more derivative of the network, and with a large λ a residual that is constant but not 0 is a comfortable
place.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "GradientEnhancedResidualLoss", "gradient_enhanced_residual_loss"]


def gradient_enhanced_residual_loss(
    residual: Tensor, slopes: Tensor, *, slope_weight: float = 0.01, reduction: str = "mean"
) -> Tensor:
    """r² + λ ‖∇r‖² per point, for ``residual`` [N] and its derivatives ``slopes`` [N, D] by the D coordinates.

    ``slope_weight`` is λ. Yu et al. 2022, arXiv:2111.02801, eq. 6.

    >>> import torch
    >>> gradient_enhanced_residual_loss(torch.tensor([1.0]), torch.tensor([[3.0, 4.0]]), slope_weight=0.5).item()
    13.5
    """
    same_shape(residual, slopes[..., 0], ("residual", "one column of slopes"))
    r, s = full_precision(residual, slopes)
    return reduce(r.square() + slope_weight * s.square().sum(-1), reduction)


GradientEnhancedResidualLoss = as_module(gradient_enhanced_residual_loss, "GradientEnhancedResidualLoss")

SPEC = LossSpec(
    name="gradient_enhanced_residual",
    title="gradient-enhanced residual of a differential equation",
    family="physics",
    task="physics",
    formula=r"r^2+\lambda\|\nabla r\|_2^2",
    input_space="values",
    function=gradient_enhanced_residual_loss,
    module=GradientEnhancedResidualLoss,
    arguments=(Argument("residual", "values", "N"), Argument("slopes", "values", "N D")),
    variants=({"slope_weight": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where the residual and its derivatives are 0",
    elicits="mean",
    claims=(
        Claim("convex", why="in the residual and its derivatives"),
        Claim("smooth", 2.0),
        Claim("permutation-equivariant"),
    ),
    denominator="number of points",
    floor=zero_floor,
    references=("https://arxiv.org/abs/2111.02801",),
)
