"""Chance level of losses of a residual: the loss of the best constant, column by column."""

from collections.abc import Callable

import numpy as np

from losscope.core.estimate import Estimate
from losscope.losses.spec import Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

_MAX_FITTED_COLUMNS = 64
_GRID, _GRID_ROWS = 65, 4096


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


def fitted_chance(
    rho: Callable[[np.ndarray], np.ndarray], stats: TargetStats, *, convex: bool = True
) -> Estimate | None:
    """Mean of ρ(target - c) at its numeric minimum over c.

    Columns are fitted one by one, at most ``_MAX_FITTED_COLUMNS`` evenly spaced ones. A ρ that is not ``convex`` has
    several minima, of which the lowest is looked for from the quantiles of the targets.
    """
    return constant_chance(lambda y, c: rho(y - c), stats, convex=convex)


def constant_chance(
    losses_of: Callable[[np.ndarray, float], np.ndarray], stats: TargetStats, *, convex: bool = False
) -> Estimate | None:
    """The same for losses of a target and a constant that are no function of their difference."""
    rows = stats.sample.rows
    if len(rows) == 0:
        return None
    step = max(1, rows.shape[1] // _MAX_FITTED_COLUMNS)
    fitted = [_best_constant(losses_of, rows[:, i], convex) for i in range(0, rows.shape[1], step)]
    losses = np.stack(fitted, axis=1).mean(1)
    return Estimate(float(losses.mean()), of_rows(losses, stats))


def _best_constant(
    losses_of: Callable[[np.ndarray, float], np.ndarray], column: np.ndarray, convex: bool
) -> np.ndarray:
    low, high = float(column.min()), float(column.max())
    if low == high:
        return losses_of(column, low)
    if not convex:
        some = column[:: max(1, len(column) // _GRID_ROWS)]
        grid = np.unique(np.quantile(some, np.linspace(0, 1, _GRID)))
        best = int(np.argmin([losses_of(some, c).mean() for c in grid]))
        low, high = float(grid[max(0, best - 1)]), float(grid[min(len(grid) - 1, best + 1)])
    from scipy.optimize import minimize_scalar  # lazy: 0.2 s to import, and few losses need it

    found = minimize_scalar(
        lambda c: float(losses_of(column, c).mean()),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return losses_of(column, float(found.x))


def zero_floor(options: Options, stats: TargetStats | None) -> float:
    """These losses reach 0 where prediction and target agree."""
    del options, stats
    return 0.0
