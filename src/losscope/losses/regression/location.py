"""Chance level of losses of a residual: the loss of the best constant, column by column."""

from collections.abc import Callable

import numpy as np

from losscope.core.estimate import Estimate
from losscope.losses.spec import Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

_MAX_FITTED_COLUMNS = 64


def variance_chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Squared error of the best constant, the column means: the mean of the column variances."""
    del options
    moments = stats.columns
    if moments.weight <= 0:
        return None
    rows = stats.sample.rows
    error = of_rows(np.square(rows - moments.mean).mean(1), stats)
    return Estimate(float(moments.variance.mean()), error)


def median_chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Absolute error of the best constant, the column medians, from the sample of rows."""
    del options
    rows = stats.sample.rows
    if len(rows) == 0:
        return None
    losses = np.abs(rows - np.median(rows, axis=0)).mean(1)
    return Estimate(float(losses.mean()), of_rows(losses, stats))


def fitted_chance(rho: Callable[[np.ndarray], np.ndarray], stats: TargetStats) -> Estimate | None:
    """Mean of ρ(target - c) at its numeric minimum over c, for a ρ that is convex.

    Columns are fitted one by one, at most ``_MAX_FITTED_COLUMNS`` evenly spaced ones.
    """
    rows = stats.sample.rows
    if len(rows) == 0:
        return None
    step = max(1, rows.shape[1] // _MAX_FITTED_COLUMNS)
    fitted = [_best_constant(rho, rows[:, i]) for i in range(0, rows.shape[1], step)]
    losses = np.stack(fitted, axis=1).mean(1)
    return Estimate(float(losses.mean()), of_rows(losses, stats))


def _best_constant(rho: Callable[[np.ndarray], np.ndarray], column: np.ndarray) -> np.ndarray:
    low, high = float(column.min()), float(column.max())
    if low == high:
        return rho(np.zeros_like(column))
    from scipy.optimize import minimize_scalar  # lazy: 0.2 s to import, and few losses need it

    found = minimize_scalar(
        lambda c: float(rho(column - c).mean()), bounds=(low, high), method="bounded", options={"xatol": 1e-9}
    )
    return rho(column - float(found.x))


def zero_floor(options: Options, stats: TargetStats | None) -> float:
    """These losses reach 0 where prediction and target agree."""
    del options, stats
    return 0.0
