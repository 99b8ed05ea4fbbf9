"""(prediction, target) element by element: where is the loss smallest, for targets 0, 1, 3.7 and ordinary ones?"""

import math
from collections.abc import Callable, Mapping

from losscope.checks.probing import (
    FITS,
    GOOD,
    LIKELY,
    MAYBE,
    NOT,
    Probe,
    Value,
    any_real,
    filled,
    lopsided,
    smallest,
)
from losscope.checks.subject import Subject
from losscope.checks.symmetries import exchangeable, regrouped


def _is_value(v: Value) -> bool:
    return smallest(v, 3.7, 3.7, (2.0, 6.0)) and smallest(v, -1.3, -1.3, (1.3, -3.0))


def _is_logit(v: Value) -> bool:
    rises = smallest(v, 1.0, 6.0, (1.0, 0.0, -3.0)) or smallest(v, 1.0, 3.0, (0.0, -3.0))
    falls = smallest(v, 0.0, -3.0, (0.0, 1.0, 3.0)) or smallest(v, 0.0, -1.0, (0.0, 1.0, 3.0))
    return rises and falls


def _elementwise(fits: Callable[[Value], bool], less: Callable[[Value], bool] = lambda v: False):
    """A probe with constants: ``less`` says where another reading explains the same."""

    def probe(subject: Subject) -> float:
        value = filled(subject)
        if not fits(value):
            return NOT
        if regrouped(subject):
            return MAYBE
        return LIKELY if less(value) or any_real(subject) else FITS

    return probe


def regression(subject: Subject) -> float:
    """Smallest at the targets: for constants, or, where these say nothing (R², correlation), for ordinary ones."""
    constants = _is_value(filled(subject))
    if not constants and not any_real(subject):
        return NOT
    if regrouped(subject) or not exchangeable(subject):
        return MAYBE
    return FITS if constants and not lopsided(subject) else GOOD


logit = _elementwise(_is_logit)

PROBES: Mapping[str, Probe] = {
    "regression": regression,
    "binary": logit,
    "binary-probabilities": _elementwise(
        lambda v: (
            smallest(v, 1.0, 0.99, (0.5, 0.1)) and smallest(v, 0.0, 0.01, (0.5, 0.9)) and not _is_logit(v)
        ),
        _is_value,
    ),
    "margin": _elementwise(
        lambda v: smallest(v, 1.0, 3.0, (0.0, -1.0)) and smallest(v, -1.0, -3.0, (0.0, 1.0))
    ),
    "counts": _elementwise(lambda v: smallest(v, 3.0, math.log(3.0), (0.0, 3.0))),
    "positive-regression": _elementwise(lambda v: smallest(v, 3.7, 3.7, (2.0, 6.0)), _is_value),
}
