"""Squared logarithmic error (ln(1 + ŷ) - ln(1 + y))² of non-negative targets.

A trap for who wants the mean: it elicits exp(E ln(1 + Y)) - 1, a shifted geometric mean that lies below the mean, by
half of the variance of ln(1 + Y) in logarithms where 1 + Y is log-normal. It judges ratios for large targets and
differences for small ones, and a prediction that is too small costs more than one that is as much too large. It is
NaN for ŷ < -1 and infinite at ŷ = -1: give it predictions ≥ 0, or use the squared error of a network that predicts
ln(1 + y) itself.
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

__all__ = ["SPEC", "MSLELoss", "msle_loss"]


def msle_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(ln(1 + input) - ln(1 + target))² per element; the tensors have one shape and values ≥ 0.

    >>> import torch
    >>> round(float(msle_loss(torch.tensor([0.0]), torch.tensor([math.e - 1]))), 4)
    1.0
    """
    input, target = full_precision(input, target)
    return reduce(difference(input.log1p(), target.to(input.dtype).log1p()).square(), reduction)


MSLELoss = as_module(msle_loss, "MSLELoss")


def log_variance_chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Mean over the columns of the variance of ln(1 + y)."""
    del options
    rows = stats.sample.rows
    if len(rows) == 0 or (rows <= -1).any():
        return None
    logs = np.log1p(rows)
    losses = np.square(logs - logs.mean(0)).mean(1)
    return Estimate(float(losses.mean()), of_rows(losses, stats))


SPEC = LossSpec(
    name="msle",
    title="squared logarithmic error",
    family="regression",
    task="regression",
    formula=r"\left(\ln(1+\hat y)-\ln(1+y)\right)^2",
    input_space="values",
    function=msle_loss,
    module=MSLELoss,
    arguments=(Argument("input", "positive-values"), Argument("target", "positive")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="shifted geometric mean exp(E ln(1 + Y)) - 1",
    claims=(
        Claim("convex", holds=False, why="concave in predictions far above the target"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: 2 * (input.log1p() - target.log1p()) / (1 + input),
    chance=log_variance_chance,
    floor=zero_floor,
    references=("https://scikit-learn.org/stable/modules/model_evaluation.html#mean-squared-log-error",),
)
