"""Is the loss still changing? A slope test that autocorrelation does not fool.

A minibatch loss is autocorrelated, so the ordinary standard error of a slope is far too small: under AR(1)
noise with φ = 0.9 a nominal 5 % test on a flat series answers "falling" or "rising" in about 40 % of cases.
The batch-means test splits the window into 10 contiguous batches, and regresses the 10 batch means on time
with 8 degrees of freedom. Batches longer than the correlation time are nearly independent, whatever the law.

Source: Steiger et al. (2005), ASAP3, doi:10.1145/1044322.1044325, and Law (2015), Simulation Modeling and
Analysis, section 9.5 (batch means); the error rates at φ = 0.9 are measured in ``tests/rules``.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from losscope.rules.statistics.robust import Floats, block_means, finite

BATCHES = 10
MIN_WINDOW = 20
"""Fewer than two values per batch leave nothing to average."""

Direction = Literal["converged", "falling", "rising", "undecided"]


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of a stationary stretch with its standard error and the degrees of freedom of that error."""

    value: float
    stderr: float
    freedom: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Two-sided Student interval."""
        if self.stderr == 0.0:
            return self.value, self.value
        half = self.stderr * float(stdtrit(self.freedom, 0.5 + confidence / 2))
        return self.value - half, self.value + half


@dataclass(frozen=True, slots=True)
class Change:
    """Change of the level across the window (slope × window length), in the unit of the series."""

    value: float
    stderr: float
    low: float
    high: float
    window: int

    def significant(self) -> bool:
        return self.low > 0 or self.high < 0


def mean(values: Floats, batches: int = BATCHES) -> Mean:
    """Mean with an error that knows autocorrelation: spread of the batch means over √batches.

    Needs two finite values; the fewer, the wider the interval (Student with batches − 1 degrees of freedom).
    """
    parts = block_means(values, batches)
    if parts.size < 2:
        level = float(parts[0]) if parts.size else float("nan")
        return Mean(level, float("inf"), 1)
    centre = float(np.mean(finite(values)))
    return Mean(centre, float(np.std(parts, ddof=1) / np.sqrt(parts.size)), int(parts.size - 1))


def change(values: Floats, confidence: float = 0.95, batches: int = BATCHES) -> Change | None:
    """Change across the whole of ``values`` with its interval; ``None`` with fewer than 20 finite values.

    With batch means b₁…b_m at mid-points tᵢ: slope β = Σ(tᵢ − t̄)bᵢ / Σ(tᵢ − t̄)², its error from the
    residuals with m − 2 degrees of freedom, and the change is β·m. Cost O(n).
    """
    kept = finite(values)
    if kept.size < MIN_WINDOW:
        return None
    parts = block_means(kept, batches)
    count = parts.size
    time = np.arange(count) - (count - 1) / 2.0
    spread = float(time @ time)
    slope = float(time @ parts) / spread
    residual = parts - parts.mean() - slope * time
    stderr = float(np.sqrt(residual @ residual / (count - 2) / spread)) * count
    half = stderr * float(stdtrit(count - 2, 0.5 + confidence / 2))
    return Change(slope * count, stderr, slope * count - half, slope * count + half, int(kept.size))


@dataclass(frozen=True, slots=True)
class Trend:
    """Answer of :func:`trend`: direction, the change across the window, and what 1 % was taken of."""

    direction: Direction
    change: Change
    scale: float
    tolerance: float

    @property
    def relative(self) -> float:
        """Change across the window as a share of ``scale``."""
        return self.change.value / self.scale if self.scale > 0 else float("nan")


def trend(values: Floats, scale: float, tolerance: float = 0.01, window: float = 0.5) -> Trend | None:
    """Converged, falling, rising or undecided, judged on the last ``window`` share of ``values``.

    *Converged* iff the 95 % interval of the change lies within ±``tolerance`` · ``scale`` (an equivalence
    test, not the mere absence of significance); otherwise *falling* or *rising* iff the interval excludes
    zero; otherwise *undecided*. ``scale`` is chance − floor where both are known, else the range that the
    run has covered. The window is the last half: long enough to average over, and past the first steep part.
    """
    kept = finite(values)
    tail = kept[kept.size - int(kept.size * window) :]
    moved = change(tail)
    if moved is None:
        return None
    bound = tolerance * scale
    direction: Direction = "undecided"
    if bound > 0 and -bound <= moved.low and moved.high <= bound:
        direction = "converged"
    elif moved.high < 0:
        direction = "falling"
    elif moved.low > 0:
        direction = "rising"
    return Trend(direction, moved, scale, tolerance)


def covered_range(values: Floats) -> float:
    """Distance between the first level and the lowest level, over 50 block means: what training has gained.

    Shift-free and proportional to the unit of the loss; zero where the loss has not fallen.
    """
    parts = block_means(values, 50)
    if parts.size == 0:
        return 0.0
    return float(parts[0] - parts.min())
