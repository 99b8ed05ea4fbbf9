"""Has the loss left its best level for good? A one-sided CUSUM on the robust log scale.

The run is condensed to at most 200 block medians, so that neither its length nor lone spikes nor short-range
autocorrelation sets off the alarm. They are put on a logarithmic scale that needs no positive loss,

    y = ln(L − min L + s),   s = robust noise scale of the blocks,

which does not change under L → aL + b. The reference is the lowest stretch of the run (10 % of the blocks).
From its end on, S ← max(0, S + z − k) with z the robust z-score of y, and S > h is the alarm; k = 0.5 and
h = 8 as usual, plus 2.5/√w added to k because the lowest of many stretches of w blocks is low by selection.

The alarm alone is not divergence: a rise must also be large (``regained``) and last to the end
(``lasting``); see :mod:`losscope.rules.diverging_loss`.

Source: Page (1954), doi:10.1093/biomet/41.1-2.100; the false-alarm rate on healthy curves is measured by
``benchmarks/calibration``.
"""

from dataclasses import dataclass

import numpy as np

from losscope.rules.statistics.robust import Floats, block_medians, difference_scale, finite, mad_scale

BLOCKS = 200
MIN_BLOCKS = 10


@dataclass(frozen=True, slots=True)
class Departure:
    """What the CUSUM saw. Levels are in the unit of the loss; ``onset`` is an index into the finite values.

    ``end`` is the level that four fifths of the last twentieth of the run (at least six blocks) lie above: a
    spike at the very end does not raise it.
    """

    alarm: bool
    onset: int
    start: float
    best: float
    end: float

    @property
    def regained(self) -> float:
        """Share of the fall from ``start`` to ``best`` that was lost again; above 1 the loss ends above its start.

        ``inf`` where the loss never fell.
        """
        fallen = self.start - self.best
        risen = self.end - self.best
        if fallen <= 0:
            return float("inf") if risen > 0 else 0.0
        return risen / fallen


def log_scale(values: Floats) -> Floats:
    """ln(x − min x + s) with s the robust noise scale: invariant under shift, additive under scaling.

    Non-finite values are dropped. Without any noise, s is 1e-3 of the range, so that the logarithm stays finite.
    """
    kept = finite(values)
    if kept.size == 0:
        return kept
    span = float(np.ptp(kept))
    noise = difference_scale(kept) if kept.size >= 3 else 0.0
    softening = max(
        noise if np.isfinite(noise) else 0.0, 1e-3 * float(np.median(kept - kept.min())), 1e-9 * span
    )
    return np.log(kept - kept.min() + softening) if softening > 0 else np.zeros_like(kept)


def cusum(z: Floats, k: float = 0.5, h: float = 8.0) -> int | None:
    """Index of the first alarm of the upper one-sided CUSUM, or ``None``.

    The mean run length to a false alarm on independent normal z is about 2·10⁴ at the defaults.
    """
    total = 0.0
    for index, value in enumerate(z):
        total = max(0.0, total + float(value) - k)
        if total > h:
            return index
    return None


def departure(values: Floats, k: float = 0.5, h: float = 8.0) -> Departure | None:
    """Judge a whole loss curve; ``None`` with fewer than ten finite values."""
    kept = finite(values)
    if kept.size < MIN_BLOCKS:
        return None
    blocks = block_medians(kept, BLOCKS)
    y = log_scale(blocks)
    width = max(3, blocks.size // 10)
    rolling = np.convolve(blocks, np.ones(width) / width, mode="valid")
    lowest = int(np.argmin(rolling))
    reference = y[lowest : lowest + width]
    noise = max(difference_scale(y), mad_scale(reference))
    after = y[lowest + width :]
    alarm = None
    if after.size and noise > 0:
        z = (after - reference.mean()) / noise
        alarm = cusum(z, k + 2.5 / np.sqrt(width), h)
    tail = blocks[-max(6, blocks.size // 20) :]
    onset = (lowest + width + (alarm or 0)) * kept.size // blocks.size
    return Departure(
        alarm=alarm is not None,
        onset=int(onset),
        start=float(np.median(blocks[:3])),
        best=float(rolling[lowest]),
        end=float(np.quantile(tail, 0.2)),
    )
