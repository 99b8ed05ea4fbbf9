"""Mean and spread of a latent variable, and no target: cheapest at the standard normal distribution."""

import math
from collections.abc import Mapping

from losscope.checks.probing import FITS, NOT, Probe, filled
from losscope.checks.subject import Subject


def _latent(neutral: float, beside: tuple[float, float]) -> Probe:
    """Smallest at the standard normal distribution: mean 0, and variance 1."""

    def probe(subject: Subject) -> float:
        value = filled(subject)
        here = value(0.0, neutral)
        others = [value(x, neutral) for x in (-1.0, 1.0)] + [value(0.0, s) for s in beside]
        others += [value(x, s) for x in (-1.0, 1.0) for s in beside]
        return FITS if math.isfinite(here) and all(here < other for other in others) else NOT

    return probe


PROBES: Mapping[str, Probe] = {
    "latent": _latent(0.0, (-1.0, 1.0)),
    "latent-scale": _latent(1.0, (0.5, 2.0)),
}
