"""Absolute percentage error |ŷ - y| / |y|, as a fraction.

A trap: it elicits neither mean nor median but the median of the density f(y)/|y|, the median after small targets were
given more weight, so its minimiser lies low (for ln Y ~ N(m, s²) at e^(m - s²) instead of e^m). Predicting 0 never
costs more than 1, predicting too much has no limit. Near y = 0 it explodes; ``eps`` bounds the divisor. Where
relative errors matter, fit ln y with the absolute error, or take the gamma deviance, which elicits the mean.
"""

import math

import numpy as np
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.elements import difference
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "MAPELoss", "mape_loss"]

_EPS = 1e-6


def mape_loss(input: Tensor, target: Tensor, *, eps: float = _EPS, reduction: str = "mean") -> Tensor:
    """|input - target| / max(|target|, eps) per element; the tensors have one shape. 0.05 means 5 %.

    Gneiting 2011, doi:10.1198/jasa.2011.r10138, section 1.2 on what it elicits.

    >>> import torch
    >>> mape_loss(torch.tensor([50.0, 150.0, 300.0]), torch.full((3,), 100.0), reduction="none").tolist()
    [0.5, 0.5, 2.0]
    """
    d = difference(input, target)
    return reduce(d.abs() / full_precision(target)[0].to(d.dtype).abs().clamp(min=eps), reduction)


MAPELoss = as_module(mape_loss, "MAPELoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """The best constant is the median with weights 1/|y|, column by column."""
    rows = stats.sample.rows
    if len(rows) == 0:
        return None
    weights = 1 / np.maximum(np.abs(rows), float(options.get("eps", _EPS)))
    order = np.argsort(rows, axis=0)
    mass = np.cumsum(np.take_along_axis(weights, order, 0), axis=0)
    middle = (mass >= 0.5 * mass[-1]).argmax(0)
    best = np.take_along_axis(np.take_along_axis(rows, order, 0), middle[None], 0)
    losses = (np.abs(rows - best) * weights).mean(1)
    return Estimate(float(losses.mean()), of_rows(losses, stats))


SPEC = LossSpec(
    name="mape",
    title="absolute percentage error",
    family="regression",
    task="regression",
    formula=r"\frac{|\hat y-y|}{\max(|y|,\varepsilon)}",
    input_space="values",
    function=mape_loss,
    module=MAPELoss,
    arguments=(Argument("input", "values"), Argument("target", "positive")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="median of the density weighted by 1/|y|",
    claims=(
        Claim("convex"),
        Claim("symmetric", holds=False, why="the target alone divides"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: (
        (input - target).sign() / target.abs().clamp(min=options.get("eps", _EPS))
    ),
    chance=_chance,
    floor=zero_floor,
    references=("https://doi.org/10.1198/jasa.2011.r10138",),
)
