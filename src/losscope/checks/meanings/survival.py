"""Risks, times and events: who dies early was at high risk."""

from collections.abc import Mapping

import torch

from losscope.checks.probing import FITS, NOT, Probe, at
from losscope.checks.subject import Subject


def _survival(subject: Subject) -> float:
    _, times, events = subject.case(0)
    events = torch.ones_like(events)
    order = times.argsort().argsort().to(times.dtype) - times.numel() / 2
    right, wrong = (at(subject, (sign * order, times, events)) for sign in (-1, 1))
    nobody = at(subject, (-order, times, torch.zeros_like(events)))
    return FITS if right < wrong and nobody != right else NOT


PROBES: Mapping[str, Probe] = {"survival": _survival}
