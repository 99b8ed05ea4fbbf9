"""(prediction, target, third): a variance, a mask or weights? Told by what the third does to errors."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from losscope.checks.meanings.classes import classes
from losscope.checks.meanings.elementwise import logit, regression
from losscope.checks.probing import FITS, GOOD, MAYBE, NOT, Probe, at
from losscope.checks.subject import Case, Subject


def _spread(low: float, middle: float, high: float) -> Probe:
    """Best at the target; for errors of 1 a spread of 1 is better than a tiny and a huge one."""

    def probe(subject: Subject) -> float:
        case = subject.case(0)
        third = case[2]

        def value(error: float, spread: float) -> float:
            return at(subject, (case[1] + error, case[1], torch.full_like(third, spread)))

        best = value(0.0, middle) < min(value(1.0, middle), value(-1.0, middle))
        return FITS if best and value(1.0, middle) < min(value(1.0, low), value(1.0, high)) else NOT

    return probe


def _masked(of: Probe) -> Probe:
    """Predictions where the mask is 0 (or, the other way round, where it is 1) count for nothing."""

    def probe(subject: Subject) -> float:
        case = subject.case(0)
        before = at(subject, case)
        for inert in (0, 1):
            idle, live = case[2] == inert, case[2] != inert
            unmoved = at(subject, (_moved(case[0], idle), *case[1:]))
            moved = at(subject, (_moved(case[0], live), *case[1:]))
            if abs(unmoved - before) <= 1e-9 * (1 + abs(before)) and abs(moved - before) > 1e-9:
                return of(subject)
        return NOT

    return probe


def _moved(prediction: Tensor, where: Tensor) -> Tensor:
    where = where.reshape(*where.shape, *[1] * (prediction.dim() - where.dim()))
    step = 0.5 * torch.arange(1, prediction.shape[-1] + 1, dtype=prediction.dtype)  # more than a shift
    return torch.where(where, prediction + step, prediction)


def _weighted(subject: Subject) -> float:
    """A sample of weight 0 does not count, one of twice the weight counts more."""
    case = subject.case(0)
    inert = _inert(subject, case)
    twice = torch.cat([2 * case[2][:1], case[2][1:]])
    heavier = at(subject, (case[0], case[1], twice)) != at(subject, case)
    return regression(subject) if inert and heavier else NOT


def _inert(subject: Subject, case: Case) -> bool:
    """Whether the prediction of a sample of weight 0 may be anything."""
    without = case[2].clone()
    without[0] = 0.0
    moved = case[0].clone()
    moved[0] += 2.0 * torch.arange(1, moved[0].numel() + 1, dtype=moved.dtype).reshape(moved[0].shape)
    one, two = (at(subject, (x, case[1], without)) for x in (case[0], moved))
    return abs(one - two) <= 1e-9 * (1 + abs(one))


def _weights(of: Probe) -> Probe:
    """Right with all weights 1; and samples of weight 0 should not count."""

    def probe(subject: Subject) -> float:
        case = subject.case(0)
        third = torch.ones_like(case[2])
        alike = replace(subject, call=lambda x, t, w: subject.call(x, t, third.to(w)))
        return min(of(alike), GOOD) if _inert(subject, case) else min(of(alike), MAYBE)

    return probe


PROBES: Mapping[str, Probe] = {
    "heteroscedastic": _spread(0.01, 1.0, 100.0),
    "heteroscedastic-log": _spread(-5.0, 0.0, 5.0),
    "masked-regression": _masked(regression),
    "masked-regression-boolean": _masked(regression),
    "masked-binary": _masked(logit),
    "masked-multi-class": _masked(classes),
    "masked-tokens": _masked(classes),
    "weighted-regression": _weighted,
    "weighted-binary": _weights(logit),
    "weighted-multi-class": _weights(classes),
}
