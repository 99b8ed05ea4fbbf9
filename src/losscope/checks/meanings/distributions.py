"""A distribution against another: the target's own is cheaper than others, the uniform one among them."""

from collections.abc import Mapping

import torch

from losscope.checks.probing import CASES, FITS, LIKELY, MAYBE, NOT, Probe, any_real, at, shifts
from losscope.checks.subject import Subject
from losscope.checks.symmetries import additive


def _distributions(subject: Subject) -> float:
    """The target's own distribution is cheaper than others, the uniform one among them."""
    logs = subject.kind(0) == "log-probabilities"
    for seed in range(CASES):
        case = subject.case(seed)
        target, other = case[1], subject.case(seed + CASES)[1]
        wrong = [other, torch.full_like(target, 1 / target.shape[1]), 0.7 * target + 0.3 * other]
        values = [at(subject, (p.log() if logs else p, target)) for p in (target, *wrong)]
        if not all(values[0] < value for value in values[1:]):
            return NOT
    if any_real(subject):
        return MAYBE
    return FITS if additive(subject) else LIKELY


def _distillation(subject: Subject) -> float:
    if not any_real(subject):
        return NOT
    return FITS if shifts(subject) else MAYBE


PROBES: Mapping[str, Probe] = {
    "distribution": _distributions,
    "two-distributions": _distributions,
    "distillation": _distillation,
}
