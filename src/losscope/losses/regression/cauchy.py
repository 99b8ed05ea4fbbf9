"""Cauchy (Lorentzian) loss: c²/2 · ln(1 + (d/c)²), the negative log-likelihood of Cauchy noise of scale c.

Quadratic near 0; the pull of a residual is largest at |d| = c and falls as 1/|d| beyond, but never to 0. Not convex.
With c = 2.385 σ the efficiency under Gaussian noise is 95 %. It is ``general_robust`` with α = 0.
"""

import math

import numpy as np
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import reduce
from losscope.losses.regression.elements import difference
from losscope.losses.regression.location import fitted_chance, zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "CauchyLoss", "cauchy_loss"]


def cauchy_loss(input: Tensor, target: Tensor, *, c: float = 1.0, reduction: str = "mean") -> Tensor:
    """c²/2 · ln(1 + ((input - target)/c)²) per element; the tensors have one shape.

    >>> import torch
    >>> round(float(cauchy_loss(torch.tensor([1.0]), torch.tensor([0.0]))), 4)  # ½ ln 2
    0.3466
    """
    require_positive(c=c)
    return reduce(0.5 * c * c * (difference(input, target) / c).square().log1p(), reduction)


CauchyLoss = as_module(cauchy_loss, "CauchyLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    c = float(options.get("c", 1.0))
    return fitted_chance(lambda d: 0.5 * c * c * np.log1p(np.square(d / c)), stats, convex=False)


SPEC = LossSpec(
    name="cauchy",
    family="regression",
    task="regression",
    input_space="values",
    function=cauchy_loss,
    module=CauchyLoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    attained="where prediction and target agree",
    chance=_chance,
    floor=zero_floor,
    title="Cauchy loss",
    formula=r"\tfrac{c^2}{2}\ln\left(1+\tfrac{d^2}{c^2}\right),\quad d=\hat y-y",
    range=(0.0, math.inf),
    elicits="Cauchy location",
    variants=({"c": 0.5}, {"reduction": "sum"}),
    claims=(
        Claim("convex", holds=False, why="concave beyond |d| = c"),
        Claim("redescending"),
        Claim("lipschitz", 0.5, why="c/2, at |d| = c"),
        Claim("smooth", 1.0),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: (
        (input - target) / (1 + ((input - target) / options.get("c", 1.0)).square())
    ),
    references=("https://doi.org/10.1080/03610927708827533",),
)
