"""Expectile loss: |τ - [d < 0]| · d² for d = y - ŷ, an asymmetric squared error that elicits the τ-expectile.

τ = ½ gives half the squared error, hence the mean. Expectiles are to the mean what quantiles are to the median:
smooth to fit and sensitive to how far the outliers lie, not only to how many there are. The τ-expectile e solves
τ·E(Y - e)₊ = (1 - τ)·E(e - Y)₊. Used as value regression in implicit Q-learning (τ = 0.7 … 0.9).
"""

import math

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.elements import difference
from losscope.losses.regression.location import fitted_chance, zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "ExpectileLoss", "expectile_loss"]


def expectile_loss(
    input: Tensor, target: Tensor, *, expectile: float = 0.5, reduction: str = "mean"
) -> Tensor:
    """τ·d² where the target lies above the prediction, (1 - τ)·d² below, per element; the tensors have one shape.

    ``expectile`` τ lies in (0, 1). Newey and Powell 1987, doi:10.2307/1911031; as a loss in arXiv:2110.06169, eq. 5.

    >>> expectile_loss(torch.zeros(2), torch.tensor([2.0, -2.0]), expectile=0.75, reduction="none").tolist()
    [3.0, 1.0]
    """
    if not 0 < expectile < 1:
        raise BadUsage("an expectile lies between 0 and 1", seen=str(expectile), remedy="expectile=0.9, say")
    d = difference(input, target)
    return reduce(torch.where(d > 0, 1 - expectile, expectile) * d.square(), reduction)


ExpectileLoss = as_module(expectile_loss, "ExpectileLoss")


def _gradient(input: Tensor, target: Tensor, options: Options) -> Tensor:
    tau, d = options.get("expectile", 0.5), input - target
    return 2 * torch.where(d > 0, 1 - tau, tau) * d


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    tau = float(options.get("expectile", 0.5))
    return fitted_chance(lambda d: np.where(d > 0, tau, 1 - tau) * d * d, stats)


SPEC = LossSpec(
    name="expectile",
    title="expectile loss",
    family="regression",
    task="regression",
    formula=r"|\tau-[d<0]|\,d^2,\quad d=y-\hat y",
    input_space="values",
    function=expectile_loss,
    module=ExpectileLoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    variants=({"expectile": 0.9}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="expectile",
    claims=(
        Claim("convex"),
        Claim("smooth", 1.0, why="2 max(τ, 1 - τ)"),
        Claim("permutation-equivariant"),
    ),
    gradient=_gradient,
    chance=_chance,
    floor=zero_floor,
    references=("https://doi.org/10.2307/1911031", "https://arxiv.org/abs/2110.06169"),
)
