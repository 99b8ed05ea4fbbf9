"""How much better than a constant is the model? Skill = 1 − L / L_chance, with its interval.

Skill is 1 for a perfect model (where the floor is 0), 0 for the best constant predictor and negative for
something worse. For the squared error it is the coefficient of determination; for cross-entropy it is
McFadden's pseudo-R². The interval carries both errors, that of the mean loss (batch means, so that
autocorrelation does not narrow it) and that of the estimated chance level:

    se² = (se_L / C)² + (L · se_C / C²)²

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


def skill(values: Floats, chance: float, chance_error: float = 0.0, confidence: float = 0.95) -> Skill | None:
    """Skill of the mean of ``values`` against ``chance``; ``None`` where chance is not a positive number.

    A chance level of zero (all targets equal) or below (densities) has no meaningful ratio.
    """
    level = mean(values)
    if not (math.isfinite(chance) and chance > 0.0 and math.isfinite(level.value)):
        return None
    error = chance_error if math.isfinite(chance_error) else 0.0
    value = 1.0 - level.value / chance
    stderr = math.hypot(level.stderr / chance, level.value * error / chance**2)
    half = stderr * float(stdtrit(level.freedom, 0.5 + confidence / 2)) if stderr > 0 else 0.0
    return Skill(value, value - half, value + half, level.value, chance)
