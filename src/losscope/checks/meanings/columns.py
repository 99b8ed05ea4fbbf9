"""Several outputs of one sample for one target: quantiles, or the parameters of a distribution."""

import math
from collections.abc import Mapping

import torch

from losscope.checks.probing import FITS, NOT, Probe, at, lopsided
from losscope.checks.subject import Subject


def _columns(subject: Subject, columns: slice, offset: float) -> float:
    case = subject.case(0)
    target = case[1].reshape(len(case[0]), 1)
    prediction = case[0].clone()
    prediction[:, columns] = target + offset
    return at(subject, (prediction, case[1]))


def _below(subject: Subject, columns: slice) -> bool:
    right = _columns(subject, columns, 0.0)
    return all(right < _columns(subject, columns, error) for error in (1.0, -1.0, 3.0, -3.0))


def _quantiles(subject: Subject) -> float:
    """All columns want to be the target, and each weighs its errors in its own way."""
    every = slice(None)
    count = subject.case(0)[0].shape[1]
    alone = all(_below(subject, slice(k, k + 1)) for k in range(count))
    return FITS if count > 1 and alone and _below(subject, every) and lopsided(subject) else NOT


def _parameters(subject: Subject) -> float:
    """The first column wants to be the target, others do not."""
    others = range(1, subject.case(0)[0].shape[1])
    if not _below(subject, slice(0, 1)) or any(_below(subject, slice(k, k + 1)) for k in others):
        return NOT
    return FITS


def _positive_parameters(subject: Subject) -> float:
    """As above, and the others may not be negative."""
    prediction, target = subject.case(0)
    negative = torch.cat([prediction[:, :1], -prediction[:, 1:]], 1)
    refused = not math.isfinite(at(subject, (negative, target)))
    return _parameters(subject) if refused else NOT


PROBES: Mapping[str, Probe] = {
    "quantiles": _quantiles,
    "quantiles-column": _quantiles,
    "evidential": _positive_parameters,
    "evidential-column": _positive_parameters,
    "parameters": _parameters,
    "parameters-column": _parameters,
}
