"""The contract of the catalogue for a callable of another library, found by equal values.

Equal values on a few small cases are not enough: a loss that keeps the hardest samples equals cross-entropy as long as
it may keep them all. So the batch grows beyond every whole number that the loss was built with, and a result that holds
several losses is none of them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from losscope.checks.silence import silence
from losscope.checks.sizes import thresholds
from losscope.checks.subject import Case, NotALoss, Raised, Subject
from losscope.checks.target import Target
from losscope.losses.catalogue import specs
from losscope.losses.spec import LossSpec

_SCALES = (1.0, 3.0, 0.3)
_MANY = 384
_MOST = 1 << 17


def contract_of(target: Target) -> LossSpec | None:
    """The catalogue's contract where the callable is the very function or module that it describes."""
    call = target.make({})
    for spec in specs().values():
        if spec.function is None or not spec.arguments:
            continue
        if call is spec.function or (spec.module is not None and type(call) is spec.module):
            return spec
    return None


def recognised(subject: Subject, target: Target) -> LossSpec | None:
    """The catalogue's loss that has the same arguments and the same values on several cases, small and large."""
    kinds = [a.kind for a in subject.arguments]
    axes = [a.axes or a.of.axes for a in subject.arguments]
    cases = [subject.case(seed, scale) for seed, scale in enumerate(_SCALES)]
    values = _values(subject, cases)
    if values is None:
        return None
    for spec in specs().values():
        if spec.function is None or [a.kind for a in spec.arguments] != kinds or spec.sizes:
            continue
        if [a.axes or a.of.axes for a in spec.arguments] != axes or not _equal(spec, cases, values):
            continue
        many = [subject.case(9, N=_beyond(target, spec))]
        found = _values(subject, many)
        if found is not None and _equal(spec, many, found):
            return spec
    return None


def _beyond(target: Target, spec: LossSpec) -> int:
    """A number of samples that is larger than the numbers that the loss was built with."""
    told = [n for n in thresholds(target.loss, target.options) if n < _MOST // 2]
    return _MANY if spec.batch_coupled else max(_MANY, *(2 * n for n in told), 0)


def _values(subject: Subject, cases: Sequence[Case]) -> list[float] | None:
    try:
        with silence(), torch.no_grad():
            return [float(subject.value(case)) for case in cases]
    except (Raised, NotALoss):
        return None


def _equal(spec: LossSpec, cases: Sequence[tuple[Tensor, ...]], values: list[float]) -> bool:
    assert spec.function is not None
    try:
        with torch.no_grad():
            others = [float(spec.function(*case).sum()) for case in cases]
    except Exception:  # noqa: BLE001  another loss that does not take these
        return False
    return all(abs(a - b) <= 1e-6 * (1 + abs(a)) for a, b in zip(values, others, strict=True))
