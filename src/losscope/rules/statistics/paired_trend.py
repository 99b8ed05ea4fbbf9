"""Does the validation loss rise while the training loss falls? A paired trend test for overfitting.

Let v be the validation losses and t the training losses at the same evaluations. After the best evaluation b,
two things must hold at once:

* the validation level has risen: mean of the last evaluations minus the level around b (the mean of the three
  evaluations next to it, the best itself left out, because the smallest of many noisy values is low by
  selection) is above zero with its one-sided 99.9 % bound;
* the training loss has not risen: its mean over the same last evaluations is below its level around b.

The noise is the larger of the scale of the second differences (in which any smooth curve cancels) and the spread
of the residuals about a line after b, doubled: evaluations are autocorrelated, and at φ = 0.6 the mean of a few
has twice the standard error that independence would give.

Source: Prechelt (1998), "Early stopping, but when?", doi:10.1007/3-540-49430-8_3 (generalisation loss);
the interval is ours, with its false-alarm rate measured by ``benchmarks/calibration``.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from losscope.rules.statistics.robust import Floats, curvature_scale

MIN_EVALUATIONS = 6
MIN_AFTER_BEST = 3
AUTOCORRELATION = 2.0


@dataclass(frozen=True, slots=True)
class PairedTrend:
    """Rise of validation since its best, its lower bound, and the change of training over the same time."""

    best: int
    rise: float
    low: float
    training_change: float

    @property
    def diverging(self) -> bool:
        """Validation rises beyond noise while training falls."""
        return self.low > 0.0 and self.training_change < 0.0


def paired_trend(validation: Floats, training: Floats, confidence: float = 0.999) -> PairedTrend | None:
    """Test one validation series against the training level at the same evaluations.

    ``None`` where there are fewer than six evaluations, or fewer than three after the best: too little to say.
    """
    v, t = np.asarray(validation, dtype=np.float64), np.asarray(training, dtype=np.float64)
    usable = np.isfinite(v) & np.isfinite(t)
    v, t = v[usable], t[usable]
    if v.size < MIN_EVALUATIONS:
        return None
    best = int(np.argmin(v))
    after = v.size - 1 - best
    if after < MIN_AFTER_BEST:
        return None
    last = max(3, after // 3)
    near = [i for i in (best - 1, best + 1, best + 2) if 0 <= i < v.size - last][:3] or [best]
    base, base_training = float(np.mean(v[near])), float(np.mean(t[[*near, best]]))
    rise = float(np.mean(v[-last:])) - base
    line = np.polynomial.Polynomial.fit(np.arange(after + 1), v[best:], 1)
    residual = v[best:] - line(np.arange(after + 1))
    spread = float(np.sqrt(residual @ residual / max(1, after - 1)))
    noise = AUTOCORRELATION * max(spread, curvature_scale(v))
    freedom = max(4, v.size - 3)
    half = float(stdtrit(freedom, confidence)) * noise * float(np.sqrt(1 / last + 1 / len(near)))
    return PairedTrend(best, rise, rise - half, float(np.mean(t[-last:])) - base_training)
