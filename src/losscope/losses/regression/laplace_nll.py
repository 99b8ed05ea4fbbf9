"""Laplace negative log-likelihood with a predicted scale: ln 2b + |ŷ - y|/b, where the network gives ln b.

The heavy-tailed relative of the Gaussian likelihood: its best location is the median, its best scale the mean
absolute deviation from it. Without limit on the scale it is unbounded below (a hit lets b shrink for ever), so ln b
is held within ±30. The value is a density's: it is negative where the fit is sharp, and it depends on the target's
unit.
"""

import math

import numpy as np
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.elements import LOG_SCALE_LIMIT, bounded, difference
from losscope.losses.spec import LossSpec, Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "LaplaceNLLLoss", "laplace_nll_loss"]


def laplace_nll_loss(input: Tensor, target: Tensor, log_scale: Tensor, *, reduction: str = "mean") -> Tensor:
    """-ln of the Laplace density of ``target`` with location ``input`` and scale exp(``log_scale``), per element.

    All three have one shape; ``log_scale`` is held within ±30.

    >>> import torch
    >>> round(float(laplace_nll_loss(torch.zeros(1), torch.tensor([2.0]), torch.zeros(1))), 4)  # ln 2 + 2
    2.6931
    """
    same_shape(input, log_scale, ("input", "log_scale"))
    s = bounded(full_precision(log_scale)[0])
    return reduce(math.log(2) + s + difference(input, target).abs() * (-s).exp(), reduction)


LaplaceNLLLoss = as_module(laplace_nll_loss, "LaplaceNLLLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Median and mean absolute deviation b of each column: ln 2b + 1."""
    del options
    rows = stats.sample.rows
    if len(rows) == 0:
        return None
    sizes = np.abs(rows - np.median(rows, axis=0))
    scale = sizes.mean(0)
    if (scale <= 0).any():
        return None
    return Estimate(float(np.log(2 * scale).mean()) + 1, of_rows((sizes / scale).mean(1), stats))


SPEC = LossSpec(
    name="laplace_nll",
    title="Laplace negative log-likelihood",
    family="regression",
    task="regression",
    formula=r"\ln 2b+\frac{|\hat y-y|}{b},\quad b=e^{s}",
    input_space="values",
    function=laplace_nll_loss,
    module=LaplaceNLLLoss,
    arguments=(Argument("input", "values"), Argument("target", "real"), Argument("log_scale", "log-scale")),
    variants=({"reduction": "sum"},),
    range=(math.log(2) - LOG_SCALE_LIMIT, math.inf),
    attained="on a hit, at the smallest scale allowed",
    unit="nats",
    elicits="median and mean absolute deviation",
    claims=(
        Claim("convex", holds=False, why="not jointly in location and scale"),
        Claim("permutation-equivariant"),
    ),
    chance=_chance,
    references=("https://arxiv.org/abs/1703.04977",),
)
