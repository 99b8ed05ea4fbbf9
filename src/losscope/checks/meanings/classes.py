"""Scores or probabilities of classes: every class is cheapest for the scores that favour it."""

from collections.abc import Mapping

import torch

from losscope.checks.probing import FITS, LIKELY, MAYBE, NOT, Probe, any_real, at, shifts
from losscope.checks.subject import Case, Subject

_SURE = 4.0


def classes(subject: Subject) -> float:
    """Every class that the loss reacts to is cheapest for the scores that favour it.

    Scores that are right have settled: what falls for ever takes probabilities, or logarithms of them.
    """
    found = _class_table(subject)
    if found != FITS:
        return found
    if subject.kind(0).endswith("logits"):
        return FITS if _settled(subject) and not any_real(subject) else MAYBE
    if subject.kind(0) == "class-probabilities" and _linear(subject):
        return LIKELY  # as of logarithms it is proper
    return MAYBE if any_real(subject) else FITS


def _soft_classes(subject: Subject) -> float:
    """As above; that scores of one sample may be shifted tells them from real numbers."""
    found = _class_table(subject)
    meant = shifts(subject) and not any_real(subject)
    return found if found != FITS or meant else MAYBE


def _class_table(subject: Subject) -> float:
    case = subject.case(0)
    count = case[0].shape[subject.axis(0, "C") or 0]
    first = int(subject.kind(1) == "class-number")
    table = [[_scored(subject, case, k, label + first) for k in range(count)] for label in range(count)]
    reacting = [label for label in range(count) if max(table[label]) - min(table[label]) > 1e-12]
    if not reacting or any(
        not table[y][y] < min(table[y][k] for k in range(count) if k != y) for y in reacting
    ):
        return NOT
    return FITS


def _settled(subject: Subject) -> bool:
    """Whether right scores of ±16 cost no less than those of ±8, or hardly."""
    case = subject.case(0)
    count = case[0].shape[subject.axis(0, "C") or 0]
    label = count - 1
    number = label + int(subject.kind(1) == "class-number")
    sure, surer = (_scored(subject, case, label, number, size, -size) for size in (8.0, 16.0))
    wrong = _scored(subject, case, 0, number, 8.0, -8.0)
    return sure < wrong and sure - surer <= 0.05 * (wrong - sure)


def _linear(subject: Subject) -> bool:
    """Whether the value between two predictions is the mean of the two."""
    one, other = subject.case(0), subject.case(1)
    middle, *ends = (at(subject, (x, *one[1:])) for x in ((one[0] + other[0]) / 2, one[0], other[0]))
    return abs(middle - sum(ends) / 2) <= 1e-9 * (1 + abs(middle))


def _scored(
    subject: Subject, case: Case, favoured: int, label: int, size: float = _SURE, rest: float = 0.0
) -> float:
    """The loss where all samples have one label and the same class is favoured everywhere."""
    kind, axis = subject.kind(0), subject.axis(0, "C") or 0
    scores = torch.full_like(case[0], rest)
    scores.select(axis, favoured).fill_(size)
    if kind in ("class-probabilities", "log-probabilities"):
        scores = scores.softmax(axis) if kind == "class-probabilities" else scores.log_softmax(axis)
    target = torch.full_like(case[1], label)
    if subject.kind(1) == "one-hot":
        target = torch.zeros_like(case[1])
        target.select(axis, label).fill_(1.0)
    return at(subject, (scores, target, *case[2:]))


def _ordinal(subject: Subject) -> float:
    """As classes, or as thresholds: as many scores are positive as classes lie below."""
    case = subject.case(0)
    count = case[0].shape[1]
    scores = [_SURE * (2.0 * (torch.arange(count) < k) - 1).to(case[0].dtype) for k in range(count)]
    labels = [torch.full_like(case[1], y) for y in range(count)]
    table = [[at(subject, (s.expand(case[0].shape), y)) for s in scores] for y in labels]
    passed = all(row[y] < min(row[:y] + row[y + 1 :]) for y, row in enumerate(table))
    return FITS if passed else classes(subject)


PROBES: Mapping[str, Probe] = {
    **dict.fromkeys(
        (
            *("multi-class", "classes-from-one", "class-probabilities", "log-probabilities", "tokens"),
            *("segmentation-classes", "segmentation-one-hot", "segmentation-one-hot-probabilities"),
        ),
        classes,
    ),
    "one-hot": _soft_classes,
    "ordinal": _ordinal,
}
