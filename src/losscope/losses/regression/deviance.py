"""Deviances of the exponential family with variance μ^p, with a log link, as one stable formula."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.losses.reduction import full_precision, same_shape
from losscope.losses.spec import Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats


def deviance(input: Tensor, target: Tensor, power: float) -> Tensor:
    """Unit deviance of ``target`` from the mean exp(``input``), for p = 0 or 1 ≤ p ≤ 2; ≥ 0, and 0 where they agree.

    With t = ln(μ/y) it is 2 y^(2-p) [φ(2 - p, t) - φ(1 - p, t)], φ(a, t) = (e^(at) - 1)/a and φ(0, t) = t, which has
    no singularity at p = 1 and p = 2 and no cancellation of large numbers. For y = 0 it is 2 μ^(2-p)/(2 - p).
    """
    same_shape(input, target)
    (z,) = full_precision(input)
    y = target.to(z.dtype)
    if power == 0:
        return (z.exp() - y).square()
    zero = (y == 0) & (power < 2)
    t = torch.where(zero, 0.0, z - torch.where(zero, 1.0, y).log())
    losses = 2 * y ** (2 - power) * (_phi(2 - power, t) - _phi(1 - power, t))
    if power == 2:
        return losses
    at_zero = 2 / (2 - power) * ((2 - power) * torch.where(zero, z, 0.0)).exp()
    return torch.where(zero, at_zero, losses)


def _phi(a: float, t: Tensor) -> Tensor:
    return t if a == 0 else torch.expm1(a * t) / a


def deviance_chance(power: Callable[[Options], float]) -> Callable[[TargetStats, Options], Estimate | None]:
    """Chance level: the mean deviance from the column means, the best constant for every power."""

    def chance(stats: TargetStats, options: Options) -> Estimate | None:
        rows, mean = stats.sample.rows, stats.columns.mean
        if len(rows) == 0 or (rows < 0).any() or (mean <= 0).any():
            return None
        z = torch.as_tensor(np.broadcast_to(np.log(mean), rows.shape).copy())
        losses = deviance(z, torch.as_tensor(rows), power(options)).numpy().mean(1)
        return Estimate(float(losses.mean()), of_rows(losses, stats))

    return chance
