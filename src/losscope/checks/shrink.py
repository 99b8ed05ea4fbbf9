"""Makes a counterexample small: fewer samples, then rounder numbers, as long as it still shows the fault."""

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from losscope.checks.subject import Case, Subject

_LARGE = 100.0
LONG = 400
"""Tensors with more numbers than this are not written out."""

Fails = Callable[[Sequence[Tensor]], bool]


def shrink(subject: Subject, case: Sequence[Tensor], fails: Fails, seconds: float = 1.0) -> Case:
    """The smallest case found within ``seconds`` for which ``fails`` is true (``case`` itself must be one).

    Greedy, and therefore not the smallest of all: halves of the samples are dropped, then single ones; then single
    numbers become 0, then integers, then one decimal.
    """
    deadline = time.monotonic() + seconds
    best = tuple(t.detach().clone() for t in case)

    def still(candidate: Case) -> bool:
        if time.monotonic() > deadline:
            return False
        try:
            return fails(candidate)
        except Exception:  # noqa: BLE001  a candidate outside of what the loss takes shows nothing
            return False

    for simplify in (_fewer_samples, _rounder):
        again = True
        while again and time.monotonic() < deadline:
            again = False
            for candidate in simplify(subject, best):
                if still(candidate):
                    best, again = candidate, True
                    break
                if time.monotonic() > deadline:
                    break
    return best


def _fewer_samples(subject: Subject, case: Case) -> Iterator[Case]:
    count = subject.count(case)
    size = count // 2
    while size >= 1:
        for start in range(0, count, size):
            keep = [i for i in range(count) if not start <= i < start + size]
            if keep:
                yield subject.rows(case, torch.tensor(keep))
        size //= 2


def _rounder(subject: Subject, case: Case) -> Iterator[Case]:
    """Rounder values, whole arguments first, then elements."""
    del subject
    for position, value in enumerate(case):
        if not value.dtype.is_floating_point or not bool(torch.isfinite(value).all()):
            continue
        for unit in (1, 10, 1000):
            rounded = (value * unit).round() / unit + 0.0  # no -0.0
            if not torch.equal(rounded, value):
                yield (*case[:position], rounded, *case[position + 1 :])
                break
        if value.numel() > 64:
            continue
        flat = value.reshape(-1)
        for index in range(flat.numel()):
            for simple in (0.0, _one_digit(float(flat[index])), float(flat[index].round())):
                if float(flat[index]) != simple and abs(float(flat[index])) > abs(simple):
                    changed = flat.clone()
                    changed[index] = simple
                    yield (*case[:position], changed.reshape(value.shape), *case[position + 1 :])


def _one_digit(number: float) -> float:
    """A large number with one digit that is not 0, towards 0; others as they are."""
    if abs(number) < _LARGE:
        return number
    unit = 10.0 ** math.floor(math.log10(abs(number)))
    return math.trunc(number / unit) * unit


def sources(case: Sequence[Tensor]) -> list[str]:
    """Every argument as Python source; very long ones are drawn from seeds of their own."""
    return [source(value, seed) for seed, value in enumerate(case)]


def source(value: Tensor, seed: int = 0) -> str:
    """A tensor as Python source that makes it again (see :func:`pasteable` for a very long one)."""
    if value.numel() == 0:
        return f"torch.empty({tuple(value.shape)}, dtype={value.dtype})"
    if value.numel() > LONG:
        return _drawn(value, seed)
    numbers = str(value.detach().tolist()).replace("nan", "float('nan')").replace("inf", "float('inf')")
    natural = value.dtype in (torch.float32, torch.int64, torch.bool)
    return f"torch.tensor({numbers})" if natural else f"torch.tensor({numbers}, dtype={value.dtype})"


def pasteable(case: Sequence[Tensor]) -> Case:
    """The case with what its source makes in place of very long tensors: numbers of the same kind from fixed seeds."""
    return tuple(
        eval(_drawn(value, seed), {"torch": torch}) if value.numel() > LONG else value
        for seed, value in enumerate(case)
    )


def _drawn(value: Tensor, seed: int) -> str:
    """Source of numbers of the same kind: labels below the largest, shares of one, or values of the same spread.

    One digit of the spread: the numbers drawn have it again, so that their source is the same text.
    """
    shape = tuple(value.shape)
    seeded = f"generator=torch.Generator().manual_seed({seed})"
    if value.dtype == torch.bool:
        return f"(torch.rand({shape}, {seeded}) < 0.5)"
    if not value.dtype.is_floating_point:
        return f"torch.randint({int(value.max()) + 1}, {shape}, {seeded})"
    if bool(((value >= 0) & (value <= 1)).all()):
        bits = bool(((value == 0) | (value == 1)).all())
        return f"torch.rand({shape}, {seeded}){'.round()' if bits else ''}.to({value.dtype})"
    finite = value.double()[value.isfinite()]
    return f"({float(finite.std()):.1g} * torch.randn({shape}, {seeded})).to({value.dtype})"
