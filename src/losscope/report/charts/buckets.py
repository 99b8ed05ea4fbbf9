"""Thinning a long series for a chart: lowest, middle and highest value of equal stretches of steps."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Buckets:
    """One row per stretch of steps that holds a record.

    ``steps`` is where the stretch is drawn, ``low``/``middle``/``high`` the minimum, median and maximum
    of its finite values (``NaN`` where there are none), ``bad`` the first step of the stretch with a
    non-finite value, or -1. ``thinned`` is false when every record has a row of its own.
    """

    steps: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    bad: np.ndarray
    thinned: bool


def bucket(steps: np.ndarray, values: np.ndarray, count: int = 240) -> Buckets:
    """At most ``count`` stretches of equal length in steps; extremes and non-finite values survive.

    Records may come in any order. Cost: one sort of the series.
    """
    order = np.argsort(steps, kind="stable")
    steps = np.asarray(steps, dtype=np.float64)[order]
    values = np.asarray(values, dtype=np.float64)[order]
    if len(steps) <= count:
        finite = np.where(np.isfinite(values), values, np.nan)
        return Buckets(steps, finite, finite, finite, np.where(np.isfinite(values), -1.0, steps), False)
    span = max(steps[-1] - steps[0], 1.0)
    index = np.minimum(((steps - steps[0]) / span * count).astype(np.int64), count - 1)
    starts = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
    rows = [
        _row(s, v) for s, v in zip(np.split(steps, starts[1:]), np.split(values, starts[1:]), strict=True)
    ]
    at, low, middle, high, bad = np.array(rows, dtype=np.float64).T
    # The first and the last record keep their own place, so that the curve spans the whole run.
    at[0], at[-1] = steps[0], steps[-1]
    return Buckets(at, low, middle, high, bad, True)


def _row(steps: np.ndarray, values: np.ndarray) -> tuple[float, float, float, float, float]:
    finite = np.isfinite(values)
    bad = float(steps[~finite][0]) if not finite.all() else -1.0
    kept = values[finite]
    middle = float(steps[len(steps) // 2])
    if not kept.size:
        return middle, np.nan, np.nan, np.nan, bad
    return (
        middle,
        float(kept.min()),
        float(np.partition(kept, kept.size // 2)[kept.size // 2]),
        float(kept.max()),
        bad,
    )
