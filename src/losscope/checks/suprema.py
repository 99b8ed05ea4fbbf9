"""The largest value of a figure of single samples, by random cases and climbing; the steepest change along lines."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from losscope.checks.domains import Free, unbounded
from losscope.checks.samples import Samples
from losscope.checks.subject import Case

Figure = Callable[[Sequence[Tensor]], Tensor | None]
"""[n] of a case with n samples, or ``None`` where it does not exist."""

WIDE = (1.0, 10.0, 100.0, 1000.0)
NARROW = (1.0, 3.0, 6.0, 10.0, 15.0)
"""Where a bounded domain is filled by σ or exp, larger scales would round to its edge."""
SMALL = (1.0, 0.1, 0.01, 0.001)
TINY = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""Where something grows towards 0, whether it goes on growing: √(x² + ε²) does not, |x|/x does."""
_GROWTH = 0.4
_HUGE = 1e9
_CHORDS, _SHORT, _SHORTER = 8, 1e-4, 1e5
_AT_LEAST = 5
"""Lines that are looked at, however slow the loss is."""

Quotient = Callable[[Samples, Case, tuple[Tensor, Tensor]], Tensor | None]
"""[n]: how much something changes between two predictions, divided by their distance."""


@dataclass(slots=True)
class Supremum:
    """``value`` of the sample ``case``; ``ladders`` are the largest ones among random cases of growing, and of falling
    scale. ``finished``: the time sufficed for all that was planned.
    """

    value: float = -math.inf
    case: Case = ()
    ladders: list[list[float]] = field(default_factory=list)
    finished: bool = True

    def take(self, samples: Samples, case: Case, figure: Figure) -> float:
        """Look at a case; the largest finite figure in it."""
        found = figure(case)
        if found is None:
            return -math.inf
        found = torch.where(found.isfinite(), found.detach().to(torch.float64), -math.inf)
        index = int(found.argmax())
        top = float(found[index])
        if top > self.value:
            self.value, self.case = top, tuple(v.detach() for v in samples.one(case, index))
        return top

    @property
    def growing(self) -> list[float] | None:
        """The ladder along which the figure keeps growing, by about as much again at every step."""
        ladders = [ladder for ladder in self.ladders if ladder]
        huge = [[ladder[0], self.value] for ladder in ladders if self.value > _HUGE * max(ladder[0], 1.0)]
        return next((ladder for ladder in [*ladders, *huge] if _grows(ladder) or ladder in huge), None)


def _grows(sizes: list[float]) -> bool:
    if len(sizes) < 4:
        return False
    steps = [b - a for a, b in itertools.pairwise(sizes)]
    return sizes[-1] > 2 * sizes[0] and min(steps) > 0 and steps[-1] > _GROWTH * max(steps[:-1])


def supremum(samples: Samples, figure: Figure, seconds: float, rounds: int = 40) -> Supremum:
    """The largest figure found, a lower bound of the true one."""
    deadline = time.process_time() + seconds
    found = Supremum()
    bounded = any(not unbounded(samples.subject.kind(i)) for i in samples.subject.predictions)
    for scales in (NARROW, ()) if bounded else (WIDE, SMALL):
        ladder = []
        for scale in scales:
            top = -math.inf
            for seed in range(3):
                if seed and time.process_time() > deadline:
                    found.finished = False
                    break
                top = max(top, found.take(samples, samples.draw(seed, scale), figure))
            if math.isfinite(top):
                ladder.append(top)
        if scales == SMALL and _grows(ladder):
            ladder = _continued(samples, figure, found, ladder)
        found.ladders.append(ladder)
    _climb(samples, figure, found, deadline, rounds)
    return found


def _continued(samples: Samples, figure: Figure, found: Supremum, ladder: list[float]) -> list[float]:
    """The ladder further down; of one that ends somewhere, nothing."""
    tops = [ladder[-1]]
    for scale in TINY:
        tops.append(found.take(samples, samples.draw(0, scale), figure))
    return ladder if tops[-1] > 2 * tops[-3] else []


def _climb(samples: Samples, figure: Figure, found: Supremum, deadline: float, rounds: int) -> None:
    """Random changes of the best sample, of all sizes, kept where they help."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(rounds):
        if not found.case:
            return
        if time.process_time() > deadline:
            found.finished = False
            return
        case = found.case
        if samples.mode != "batch":
            copies = torch.zeros(samples.sizes.get("N", 1), dtype=torch.int64)
            case = samples.subject.rows(case, copies)
        free = Free(samples.subject, case)
        vector = free.vector()
        noise = torch.randn(len(vector), generator=generator, dtype=torch.float64)
        size = 10 ** (4 * torch.rand(len(vector), generator=generator, dtype=torch.float64) - 3)
        if int(torch.randint(4, (), generator=generator)):
            vector = vector + noise * size
        else:  # a larger copy, for suprema at infinity
            vector = vector * (1 + size.mean()) + noise * size.mean() / 10
        with torch.no_grad():
            moved = free.case(vector)
        found.take(samples, moved, figure)


@dataclass(slots=True)
class Chords:
    """The steepest quotient between two neighbours on a line: of the sample ``case`` and the same plus ``step``."""

    samples: Samples
    quotient: Quotient
    value: float = 0.0
    case: Case = ()
    step: Tensor = field(default_factory=lambda: torch.zeros(0))

    def line(self, seed: int, scale: float, width: float) -> None:
        """Eight chords of a line towards another drawn point, as long as ``width`` says."""
        case = self.samples.draw(seed, scale)
        start = self.samples.flat(case)
        way = width * (self.samples.flat(self.samples.draw(seed + 77, scale)) - start)
        for k in range(_CHORDS):
            self.look(case, start + k / _CHORDS * way, way / _CHORDS)

    def look(self, case: Case, start: Tensor, step: Tensor) -> bool:
        found = self.quotient(self.samples, case, (start, start + step))
        if found is None:
            return False
        found = torch.where(found.isfinite(), found, -1.0)
        index = int(found.argmax())
        if float(found[index]) <= self.value:
            return False
        self.value = float(found[index])
        here = self.samples.place(case, start)
        self.case = tuple(v.detach() for v in self.samples.one(here, index))
        self.step = step[index]
        return True

    def through_origin(self, seed: int, scale: float) -> None:
        case = self.samples.draw(seed, scale)
        way = self.samples.through_origin(case, seed)
        if way is None:
            return
        start = self.samples.flat(case)
        for k in range(_CHORDS + 1):
            self.look(case, start + k / (_CHORDS + 1) * way, way / (_CHORDS + 1))

    def settles(self) -> bool:
        """Whether the quotient ends somewhere on ever shorter chords, as at a bend, not at a jump."""
        before = self.value
        self.bisect(_SHORT / _SHORTER)
        return self.value < before * _SHORTER / 100

    def bisect(self, short: float = _SHORT) -> None:
        """Halves of the steepest chord: at a jump each is twice as steep, elsewhere the quotient settles."""
        for _ in range(24):
            if not self.case or float(self.step.norm()) < short:
                return
            start, half = self.samples.flat(self.case), self.step / 2
            if not (
                self.look(self.case, start, half[None]) or self.look(self.case, start + half, half[None])
            ):
                return


def chords_of(samples: Samples, quotient: Quotient, seconds: float) -> Chords:
    """The steepest chord on lines of several lengths, each followed by bisection to where it is steepest.

    The steepest of long chords need not hold the steepest of short ones: a kink hides behind a bend.
    """
    best = Chords(samples, quotient)
    deadline = time.process_time() + seconds
    for number, (seed, scale, width) in enumerate(_lines()):
        if number >= _AT_LEAST and time.process_time() > deadline:
            break
        found = Chords(samples, quotient)
        if width:
            found.line(seed, scale, width)
        else:
            found.through_origin(seed, scale)
        found.bisect()
        best = found if found.value > best.value else best
    return best


def _lines() -> Iterator[tuple[int, float, float]]:
    """Seeds, scales and widths; of width 0 are lines through the origin."""
    yield from ((0, 1.0, 0.0), (0, 1.0, 1.0), (1, 1.0, 1.0), (1, 0.1, 0.0), (2, 1.0, 1.0))
    for seed in range(3):
        for scale in (1.0, 10.0):
            for width in (1.0, 0.1, 0.01):
                if (scale, width) != (1.0, 1.0):
                    yield seed, scale, width
