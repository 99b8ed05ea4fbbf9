"""The focal loss of the best constant prediction, numerically: it has no closed form."""

import math

import numpy as np

from losscope.core.estimate import Estimate
from losscope.losses.spec import Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

_MAX_COLUMNS = 64
LARGEST_SLOPE = 1.1289832185683977
"""Largest slope of (1 - p)² (-ln p), p = σ(x), in x: at p = 0.0578."""


def focal_of(q: np.ndarray, gamma: float) -> np.ndarray:
    """(1 - q)^γ (-ln q) of probabilities."""
    return (1 - q) ** gamma * -np.log(np.clip(q, 1e-300, 1.0))


def best_constant(weights: np.ndarray, gamma: float) -> np.ndarray:
    """The q of each row that minimises Σ_k a_k (1 - q_k)^γ (-ln q_k) over distributions; ``weights`` a is [D, K].

    Each summand is convex in q for every γ ≥ 0, so that a_k · slope(q_k) is one number λ for all k. The slope is
    inverted by a table in the log-odds of q, λ is found by bisection.
    """
    x = np.linspace(-60.0, 40.0, 40001)
    near, far = np.logaddexp(0.0, -x), np.logaddexp(0.0, x)  # -ln q and -ln(1 - q)
    # ln of minus the derivative of one summand falls in x; the table is of its negative.
    rising = (gamma - 1) * far - np.log(np.exp(-x) + gamma * near)
    low, high = np.full((len(weights), 1), -400.0), np.full((len(weights), 1), 400.0)
    level = np.where(weights > 0, np.log(np.where(weights > 0, weights, 1.0)), -1e4)
    q = np.zeros_like(weights)
    for _ in range(100):
        middle = (low + high) / 2
        q = 1 / (1 + np.exp(-np.interp(level - middle, rising, x)))
        over = q.sum(1, keepdims=True) > 1
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return q / q.sum(1, keepdims=True)


def class_chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Focal loss of the best constant distribution for class frequencies f, with class weights if given."""
    if options.get("target") in ("binary", "distribution"):
        return binary_chance(stats, options)
    n = float(stats.class_weight.sum())
    if n <= 0:
        return None
    f = stats.class_weight / n
    given = options.get("weight")
    weights = np.ones(len(f)) if given is None else np.asarray(given, dtype=np.float64)[: len(f)]
    total = float((weights * f).sum())
    if total <= 0:
        return None
    gamma = float(options.get("gamma", 2.0))
    losses = weights * focal_of(best_constant((weights * f)[None], gamma)[0], gamma) / total
    value = float((f * losses).sum())
    spread = float((f * losses**2).sum()) - value**2
    return Estimate(value, math.sqrt(max(spread, 0.0) / max(stats.count, 1.0)))


def binary_chance(stats: TargetStats, options: Options) -> Estimate | None:
    """The same for every column of 0/1 targets, of at most 64 evenly spaced columns; α weighs the ones."""
    rows = stats.sample.rows
    if len(rows) == 0:
        return None
    rows = rows[:, :: max(1, rows.shape[1] // _MAX_COLUMNS)]
    alpha, gamma = options.get("alpha"), float(options.get("gamma", 2.0))
    ones, zeros = (1.0, 1.0) if alpha is None else (float(alpha), 1 - float(alpha))
    f = rows.mean(0)
    q = best_constant(np.stack([ones * f, zeros * (1 - f)], 1), gamma)
    cost = focal_of(q, gamma)
    losses = (rows * ones * cost[:, 0] + (1 - rows) * zeros * cost[:, 1]).mean(1)
    return Estimate(float(losses.mean()), of_rows(losses, stats))
