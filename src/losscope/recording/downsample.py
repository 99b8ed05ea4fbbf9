"""Fewer points that show the same curve."""

import numpy as np
from numpy.typing import NDArray

from losscope.core.errors import BadUsage
from losscope.recording.series import Series

_MIN_POINTS = 7
_PLAIN, _WITH_NONFINITE = 2, 5


def min_max(series: Series, points: int) -> Series:
    """At most ``points`` records that keep the first, the last and each stretch's extremes, in order.

    The records between the first and the last are cut into stretches of equal length; of each the
    smallest and the largest finite value stay, and the first nan, +inf and −inf, since one nan among
    a million losses is what the reader looks for. Cost: O(n). Raises ``BadUsage`` for ``points`` < 7.
    """
    if points < _MIN_POINTS:
        raise BadUsage(f"a series is drawn with at least {_MIN_POINTS} points", seen=str(points))
    n = len(series)
    if n <= points:
        return series
    finite = np.isfinite(series.values)
    per_stretch = _PLAIN if finite.all() else _WITH_NONFINITE
    stretches = (points - 2) // per_stretch
    edges = np.linspace(1, n - 1, stretches + 1).astype(np.int64)
    starts = edges[:-1][np.diff(edges) > 0]
    ends = np.append(starts[1:], n - 1)
    keep = [np.array([0, n - 1]), *_extremes(series.values, finite, starts, ends)]
    if per_stretch == _WITH_NONFINITE:
        for kind in (np.isnan(series.values), np.isposinf(series.values), np.isneginf(series.values)):
            keep.append(_first_of_each(np.flatnonzero(kind), starts, ends))
    chosen = np.unique(np.concatenate(keep))
    return Series(series.steps[chosen], series.values[chosen])


def _extremes(
    values: NDArray[np.float64], finite: NDArray[np.bool_], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Indices of the smallest and largest finite value of each stretch that has one."""
    lowest: list[int] = []
    highest: list[int] = []
    for start, end in zip(starts, ends, strict=True):
        inside = np.flatnonzero(finite[start:end]) + start
        if len(inside):
            lowest.append(int(inside[np.argmin(values[inside])]))
            highest.append(int(inside[np.argmax(values[inside])]))
    return [np.array(lowest, dtype=np.int64), np.array(highest, dtype=np.int64)]


def _first_of_each(
    indices: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The first of ``indices`` (ascending) within each stretch that has any."""
    positions = np.searchsorted(indices, starts)
    present = positions < len(indices)
    first = indices[positions[present]]
    return first[first < ends[present]]
