"""Tukey's biweight: c²/6 · (1 - (1 - (d/c)²)³) for |d| ≤ c, else the constant c²/6.

A residual beyond c does not count at all: its gradient is exactly 0. So gross outliers cannot move the fit, and a fit
that starts far away cannot move either: begin with the Huber loss, or with a large c. c is in units of the target;
with c = 4.685 σ the efficiency under Gaussian noise is 95 %. Not convex: several local minima are normal.
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

__all__ = ["SPEC", "TukeyLoss", "tukey_loss"]


def tukey_loss(input: Tensor, target: Tensor, *, c: float = 4.685, reduction: str = "mean") -> Tensor:
    """Tukey's biweight of input - target per element, between 0 and c²/6; the tensors have one shape.

    Beaton and Tukey 1974, doi:10.1080/00401706.1974.10489171.

    >>> import torch
    >>> tukey_loss(torch.tensor([0.0, 6.0, 1e4]), torch.zeros(3), c=6.0, reduction="none").tolist()
    [0.0, 6.0, 6.0]
    """
    require_positive(c=c)
    u = (difference(input, target) / c).square().clamp(max=1.0)
    # 1 - (1 - u)³ multiplied out: no cancellation near 0.
    return reduce(c * c / 6 * u * (3 - 3 * u + u * u), reduction)


TukeyLoss = as_module(tukey_loss, "TukeyLoss")


def _gradient(d: Tensor, c: float) -> Tensor:
    return d * (1 - (d / c).square().clamp(max=1.0)).square()


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    c = float(options.get("c", 4.685))
    return fitted_chance(
        lambda d: c * c / 6 * (1 - (1 - np.square(d / c).clip(max=1.0)) ** 3), stats, convex=False
    )


SPEC = LossSpec(
    name="tukey",
    family="regression",
    task="regression",
    input_space="values",
    function=tukey_loss,
    module=TukeyLoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    attained="where prediction and target agree",
    chance=_chance,
    floor=zero_floor,
    title="Tukey's biweight",
    formula=r"\tfrac{c^2}{6}\left(1-\left(1-\min(1,\tfrac{d^2}{c^2})\right)^3\right),\quad d=\hat y-y",
    range=(0.0, 4.685**2 / 6),
    elicits="mode of the smoothed density",
    variants=({"reduction": "sum"},),
    claims=(
        Claim("convex", holds=False, why="constant beyond c"),
        Claim("redescending"),
        Claim("lipschitz", 4.685 * 16 / (25 * math.sqrt(5)), why="16c / (25√5), at |d| = c/√5"),
        Claim("smooth", 1.0),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: _gradient(input - target, options.get("c", 4.685)),
    references=("https://doi.org/10.1080/00401706.1974.10489171",),
)
