"""Scales and levels that a few wild values cannot move.

All functions drop non-finite values first; an empty series gives ``nan``.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation for a normal law: 1/Φ⁻¹(3/4)."""


def finite(values: Floats) -> Floats:
    """The finite values, in order."""
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def mad_scale(values: Floats) -> float:
    """Robust standard deviation, 1.4826 · median|x − median x|.

    Source: Rousseeuw and Croux (1993), doi:10.1080/01621459.1993.10476408. Breakdown point 50 %.
    """
    kept = finite(values)
    if kept.size == 0:
        return float("nan")
    return float(MAD_TO_SIGMA * np.median(np.abs(kept - np.median(kept))))


def difference_scale(values: Floats) -> float:
    """Robust standard deviation of the noise about a slow trend, from first differences.

    σ ≈ MAD(x[t+1] − x[t]) / √2: a trend cancels in the differences. Under positive autocorrelation it
    underestimates σ; the callers average blocks first.
    Source: von Neumann et al. (1941), doi:10.1214/aoms/1177731746, with the MAD in place of the mean.
    """
    kept = finite(values)
    if kept.size < 3:
        return float("nan")
    return mad_scale(np.diff(kept)) / float(np.sqrt(2.0))


def curvature_scale(values: Floats) -> float:
    """Robust standard deviation of the noise about a smooth curve, from second differences.

    σ ≈ MAD(x[t+1] − 2x[t] + x[t−1]) / √6: a trend and most of a bend cancel. Zero with fewer than five values.
    """
    kept = finite(values)
    return mad_scale(np.diff(kept, 2)) / float(np.sqrt(6.0)) if kept.size >= 5 else 0.0


def block_means(values: Floats, blocks: int) -> Floats:
    """Means of ``blocks`` contiguous blocks of nearly equal length; fewer blocks where values are fewer."""
    kept = finite(values)
    count = min(blocks, kept.size)
    if count == 0:
        return kept
    edges = np.linspace(0, kept.size, count + 1).round().astype(int)
    sums = np.add.reduceat(kept, edges[:-1])
    return sums / np.diff(edges)


def block_medians(values: Floats, blocks: int) -> Floats:
    """Medians of ``blocks`` contiguous blocks; a lone spike does not reach them."""
    kept = finite(values)
    count = min(blocks, kept.size)
    if count == 0:
        return kept
    return np.array([np.median(block) for block in np.array_split(kept, count)])


def spikes(values: Floats, threshold: float = 10.0) -> NDArray[np.int64]:
    """Indices where the series jumps up by more than ``threshold`` robust standard deviations.

    The jump is measured from the median of the nine values before it, in units of :func:`difference_scale`.
    """
    array = np.asarray(values, dtype=np.float64)
    scale = difference_scale(array)
    if array.size < 10 or not scale > 0:
        return np.empty(0, dtype=np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(array, 9)[:-1]
    level = np.nanmedian(np.where(np.isfinite(windows), windows, np.nan), axis=1)
    jump = (array[9:] - level) / scale
    return np.flatnonzero(jump > threshold) + 9
