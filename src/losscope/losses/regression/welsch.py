"""Welsch (Leclerc, correntropy) loss: c²/2 · (1 - exp(-(d/c)²)).

A smooth relative of Tukey's biweight: residuals well beyond c have almost no pull, and none at all once the
exponential underflows. Its minimiser is the highest peak of the target's density smoothed by a Gaussian of variance
c²/2: a mode. Not convex: begin near the solution or with a large c. ``general_robust`` with α = -∞ and scale c/√2
has the same shape.
"""

import math

import numpy as np
import torch
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

__all__ = ["SPEC", "WelschLoss", "welsch_loss"]


def welsch_loss(input: Tensor, target: Tensor, *, c: float = 1.0, reduction: str = "mean") -> Tensor:
    """c²/2 · (1 - exp(-((input - target)/c)²)) per element, between 0 and c²/2; the tensors have one shape.

    >>> welsch_loss(torch.tensor([0.0, 1e4]), torch.zeros(2), c=2.0, reduction="none").tolist()
    [0.0, 2.0]
    """
    require_positive(c=c)
    # expm1 keeps the digits near 0; e^-100 is 0 beside 1 in every precision, and its derivatives stay finite.
    u = (difference(input, target) / c).square().clamp(max=100.0)
    return reduce(-0.5 * c * c * torch.expm1(-u), reduction)


WelschLoss = as_module(welsch_loss, "WelschLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    c = float(options.get("c", 1.0))
    return fitted_chance(lambda d: -0.5 * c * c * np.expm1(-np.square(d / c)), stats, convex=False)


SPEC = LossSpec(
    name="welsch",
    family="regression",
    task="regression",
    input_space="values",
    function=welsch_loss,
    module=WelschLoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    attained="where prediction and target agree",
    chance=_chance,
    floor=zero_floor,
    title="Welsch loss",
    formula=r"\tfrac{c^2}{2}\left(1-e^{-d^2/c^2}\right),\quad d=\hat y-y",
    range=(0.0, 0.5),
    elicits="mode of the smoothed density",
    variants=({"reduction": "sum"},),
    claims=(
        Claim("convex", holds=False, why="concave beyond |d| = c/√2"),
        Claim("redescending"),
        Claim("lipschitz", math.exp(-0.5) / math.sqrt(2), why="c / √(2e), at |d| = c/√2"),
        Claim("smooth", 1.0),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: (
        (input - target) * torch.exp(-((input - target) / options.get("c", 1.0)).square())
    ),
    references=("https://doi.org/10.1080/03610917808812083", "https://doi.org/10.1109/TSP.2007.896065"),
)
