"""What the probes of meanings share: levels of agreement, and values at chosen inputs."""

import math
from collections.abc import Callable, Iterable

import torch

from losscope.checks.subject import Case, NotALoss, Raised, Subject

FITS, GOOD, LIKELY, MAYBE, OPEN, NOT = 4.0, 3.0, 2.5, 1.0, 0.0, -2.0
"""``FITS``: right answers are cheapest, and only this reading explains it. ``GOOD`` … ``MAYBE``: they are cheapest, but
another reading may explain that too. ``OPEN``: nothing is said. ``NOT``: wrong answers are cheaper."""

CASES = 3

Probe = Callable[[Subject], float]


def at(subject: Subject, case: Case) -> float:
    """The value; not a number where the loss refuses."""
    try:
        return float(subject.value(case))
    except (Raised, NotALoss):
        return math.nan


Value = Callable[[float, float], float]


def filled(subject: Subject) -> Value:
    """The loss where all predictions and all targets are the same two numbers; infinite where it refuses."""
    case = subject.case(0)

    def value(prediction: float, target: float) -> float:
        filled = (torch.full_like(case[0], prediction), torch.full_like(case[1], target), *case[2:])
        found = at(subject, filled)
        return math.inf if math.isnan(found) else found

    return value


def smallest(value: Value, target: float, where: float, others: Iterable[float]) -> bool:
    """Whether the value at ``where`` is a number, and smaller than elsewhere."""
    here = value(where, target)
    return math.isfinite(here) and all(here < value(x, target) for x in others)


def any_real(subject: Subject) -> bool:
    """Whether targets may be any real numbers: as predictions they are cheaper than with any of several errors.

    The opposite of the target may cost the same: a loss that does not see scales may not see signs.
    """
    for seed in range(CASES):
        case = subject.case(seed)
        if case[0].numel() != case[1].numel():
            return False
        generator = torch.Generator().manual_seed(seed)
        target, noise = torch.randn((2, *case[0].shape), generator=generator, dtype=torch.float64)
        rest = (target.reshape(case[1].shape), *case[2:])
        here = at(subject, (target, *rest))
        wrong = [target + size * noise for size in (0.3, -0.3, 1.0, -1.0, 3.0)]
        opposite = at(subject, (-target, *rest))
        if not here <= opposite + 1e-9 * (1 + abs(opposite)):
            return False
        if not all(here < at(subject, (other, *rest)) for other in wrong):
            return False
    return True


def shifts(subject: Subject) -> bool:
    """Whether a number may be added to all scores of a sample."""
    case = subject.case(0)
    step = torch.arange(1.0, len(case[0]) + 1, dtype=case[0].dtype).reshape(-1, *[1] * (case[0].dim() - 1))
    one, two = at(subject, case), at(subject, (case[0] + step, *case[1:]))
    return abs(one - two) <= 1e-6 * (1 + abs(one))


def lopsided(subject: Subject) -> bool:
    """Whether columns of the prediction weigh too much against too little differently, as quantiles do."""
    case = subject.case(0)
    if case[0].dim() != 2 or case[0].shape[1] < 2:
        return False
    first = case[1][:, :1] if case[1].dim() == 2 else case[1][:, None]
    target = first.expand(case[1].shape) if case[1].dim() == 2 else case[1]
    right = first.expand(case[0].shape)
    base = at(subject, (right, target, *case[2:]))
    ratios = []
    for column in range(case[0].shape[1]):
        step = torch.zeros_like(case[0])
        step[:, column] = 1.0
        more, less = (at(subject, (right + sign * step, target, *case[2:])) - base for sign in (1, -1))
        ratios.append(more / less if less else math.nan)
    return max(ratios) - min(ratios) > 1e-3 * abs(max(ratios))
