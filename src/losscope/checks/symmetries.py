"""What may be exchanged without a change of the value: samples, pixels, elements, columns."""

import torch
from torch import Tensor

from losscope.checks.probing import CASES, at
from losscope.checks.subject import Case, Subject

_CLOSE = 1e-6


def additive(subject: Subject) -> bool:
    """Whether a batch is the mean or the sum of its samples."""
    case = subject.case(0)
    n = subject.count(case)
    whole = at(subject, case)
    rows = [at(subject, subject.rows(case, torch.tensor([i]))) for i in range(n)]
    return any(abs(whole - each) <= 1e-5 * (1 + abs(whole)) for each in (sum(rows), sum(rows) / n))


def pixelwise(subject: Subject) -> bool:
    """Whether pixels may change their places, the same in all arguments; true where there are none."""
    case = subject.case(0)
    moved, pixels = [], False
    for position, value in enumerate(case):
        height, width = subject.axis(position, "H"), subject.axis(position, "W")
        if height is None or width is None:
            moved.append(value)
            continue
        pixels = True
        flat = value.flatten(height, width)
        order = torch.randperm(flat.shape[height], generator=torch.Generator().manual_seed(3))
        moved.append(flat.index_select(height, order).reshape(value.shape))
    before, after = at(subject, case), at(subject, tuple(moved))
    return not pixels or abs(before - after) <= 1e-6 * (1 + abs(before))


def channels_alike(subject: Subject) -> bool:
    """Whether the elements of a sample may change places over channels and pixels, the same in all arguments."""
    case = subject.case(0)
    if any(value.dim() < 3 or value.shape != case[0].shape for value in case):
        return False
    order = torch.randperm(case[0][0].numel(), generator=torch.Generator().manual_seed(7))
    return _same(subject, case, tuple(v.flatten(1)[:, order].reshape(v.shape) for v in case))


def regrouped(subject: Subject) -> bool:
    """Whether the rows of the second argument alone may be exchanged: two sets, not pairs."""
    return all(
        _same(subject, case, (case[0], case[1].roll(1, 0), *case[2:]))
        for case in (subject.case(seed) for seed in range(CASES))
    )


def exchangeable(subject: Subject) -> bool:
    """Whether elements of one row, or of one column, may change places, the same in all arguments of that shape.

    It is so for losses that compare element by element, not for those that compare each row with all others.
    """
    case = subject.case(0)
    if case[0].dim() != 2:
        return True

    def along(axis: int) -> Case:
        moved = []
        for value in case:
            if value.shape != case[0].shape:
                moved.append(value)
                continue
            other = value.clone()
            if axis:
                other[0] = value[0].roll(1)
            else:
                other[:, 0] = value[:, 0].roll(1)
            moved.append(other)
        return tuple(moved)

    return _same(subject, case, along(1)) or _same(subject, case, along(0))


def rotated(subject: Subject) -> bool:
    """Whether all vectors may be turned together: only lengths and angles count."""
    case = subject.case(0)
    size = case[0].shape[-1]
    generator = torch.Generator().manual_seed(5)
    turn: Tensor = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    turned = tuple(value @ turn if value.shape == case[0].shape else value for value in case)
    return _same(subject, case, turned)


def _same(subject: Subject, case: Case, other: Case) -> bool:
    before, after = at(subject, case), at(subject, other)
    return abs(before - after) <= _CLOSE * (1 + abs(before))
