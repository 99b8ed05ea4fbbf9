"""Symmetric absolute percentage error 2|ŷ - y| / (|ŷ| + |y|), between 0 and 2.

A trap: it is symmetric in prediction and target, not in the error. Too small by d costs more than too large by d, it
is not convex, its gradient vanishes for far too large predictions, and it elicits neither mean nor median. Wherever
the target is 0 it is 2 whatever is predicted (0 for exactly 0): such elements teach nothing. As a loss prefer the
absolute error of ln y; as a metric prefer a scaled error.
"""

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.elements import difference
from losscope.losses.regression.location import constant_chance, zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "SMAPELoss", "smape_loss"]


def smape_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """2|input - target| / (|input| + |target|) per element, 0 where both are 0; the tensors have one shape.

    >>> smape_loss(torch.tensor([0.0, 50.0, 0.0]), torch.tensor([0.0, 150.0, 1.0]), reduction="none").tolist()
    [0.0, 1.0, 2.0]
    """
    x, y = full_precision(input, target)
    d, total = difference(x, y), x.abs() + y.to(x.dtype).abs()
    return reduce(2 * d.abs() / torch.where(total == 0, 1.0, total), reduction)


SMAPELoss = as_module(smape_loss, "SMAPELoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    del options

    def of(y: np.ndarray, c: float) -> np.ndarray:
        total = np.abs(y) + abs(c)
        return 2 * np.abs(y - c) / np.where(total == 0, 1.0, total)

    return constant_chance(of, stats)


SPEC = LossSpec(
    name="smape",
    title="symmetric absolute percentage error",
    family="regression",
    task="regression",
    formula=r"\frac{2|\hat y-y|}{|\hat y|+|y|}",
    input_space="values",
    function=smape_loss,
    module=SMAPELoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    variants=({"reduction": "sum"},),
    range=(0.0, 2.0),
    attained="where prediction and target agree",
    elicits="neither mean nor median: a compromise that depends on the whole distribution",
    claims=(
        Claim("convex", holds=False, why="concave for predictions above the target"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    chance=_chance,
    floor=zero_floor,
    references=("https://doi.org/10.1016/S0169-2070(99)00007-2",),
)
