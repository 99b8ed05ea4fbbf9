"""How much better than a constant is the model? Skill = 1 − (L − F) / (C − F), with its interval.

L is the loss, C its chance level, F its floor. Skill is 1 for a perfect model, whose loss is at the floor, 0 for
the best constant predictor and negative for something worse. With F = 0 it is 1 − L/C: the coefficient of
determination for the squared error, McFadden's pseudo-R² for cross-entropy. The interval carries both errors,
that of the mean loss (batch means, so that autocorrelation does not narrow it) and that of the estimated
chance level:

    se² = (se_L / (C − F))² + ((L − F) · se_C / (C − F)²)²

Source: Murphy (1988), doi:10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2; McFadden (1974).
"""

import math
from dataclasses import dataclass

from scipy.special import stdtrit

from losscope.rules.statistics.batch_means import mean
from losscope.rules.statistics.robust import Floats


@dataclass(frozen=True, slots=True)
class Skill:
    """Skill with its 95 % interval and the two values that it compares."""

    value: float
    low: float
    high: float
    loss: float
    chance: float

    def at_chance(self, margin: float = 0.05, tolerance: float = 0.01) -> bool:
        """The interval reaches zero (within 1 %) and is narrow enough to exclude a skill above ``margin``."""
        return self.low <= tolerance and self.high < margin


def skill(
    values: Floats, chance: float, chance_error: float = 0.0, floor: float = 0.0, confidence: float = 0.95
) -> Skill | None:
    """Skill of the mean of ``values`` against ``chance``; ``None`` where chance is not above the floor.

    With all targets equal nothing can be learnt, and a density's chance level below zero has no ratio to a floor
    that is not known.
    """
    level, span = mean(values), chance - floor
    if not (math.isfinite(span) and span > 1e-9 * abs(chance) and math.isfinite(level.value)):
        return None
    error = chance_error if math.isfinite(chance_error) else 0.0
    excess = level.value - floor
    value = 1.0 - excess / span
    stderr = math.hypot(level.stderr / span, excess * error / span**2)
    half = stderr * float(stdtrit(level.freedom, 0.5 + confidence / 2)) if stderr > 0 else 0.0
    return Skill(value, value - half, value + half, level.value, chance)
