"""The loss does not jump.

A value that jumps where the prediction crosses a threshold has no gradient that tells of the jump: descent may go up
in steps. The usual cause are two branches that do not meet (a Huber loss without its -δ²/2). Looked for along random
lines through the space of predictions, by halving the interval with the largest difference until nothing is left
between its ends.

A **convention**: losses that select samples, pairs or a penalty by a threshold jump by design (hard mining, a penalty
for the wrong direction), and from outside a slip looks like that. A **bug** where it cannot be meant: of predictions
against real targets, an error that has grown by a hair costs suddenly less: descent is drawn away from the target.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.domains import inside
from losscope.checks.invariance import random
from losscope.checks.shrink import shrink, source
from losscope.checks.subject import Case, Subject, pack, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_LINES = 4
_POINTS = 33
_HALVINGS = 44
_SECONDS = 0.5  # for a smaller counterexample, twice
_JUMP = 1e-5  # of the range of the loss on the line

_JUMPS = Text(
    en="the loss jumps from {before:.6g} to {after:.6g} between two predictions that differ by {gap:.0e}",
    zh="两个仅相差 {gap:.0e} 的预测之间，损失从 {before:.6g} 跳到 {after:.6g}",
)
_FALLS = Text(
    en="the loss jumps from {before:.6g} to {after:.6g} where an error grows by {gap:.0e}: a larger error costs less",
    zh="误差仅增大 {gap:.0e}，损失就从 {before:.6g} 跳到 {after:.6g}：更大的误差反而损失更小",
)
_PASS = Text(en="no jump along a line ({lines} looked at)", zh="{lines} 条直线上没有跳跃")
_NOTHING = Text(en="it changes on no line", zh="在任何直线上都没有变化")


def _run(subject: Subject) -> Iterator[Result]:
    looked = 0
    for number, case in enumerate(subject.cases(_LINES // 2, (1.0, 3.0))):
        x, unpack = pack(subject, case)
        step = 2 * random(x.shape, number)
        if not inside(subject, unpack(x + step)):
            step = pack(subject, subject.case(number + 50))[0] - x
        if step.shape != x.shape or _value(subject, unpack(x)) != _value(subject, unpack(x)):
            continue  # dice or memory: nothing can be said
        line = _Line(subject, case, unpack(x + step))
        found = line.steepest()
        if found is None:
            continue
        looked += 1
        if line.jumps(found):
            yield _told(_smaller(line))
            return
    yield passed(_PASS, lines=looked) if looked else skipped(_NOTHING)


@dataclass(frozen=True, slots=True)
class _Place:
    """Two neighbouring points of a line, as shares of it, the values there, and the range of values on the line."""

    low: float
    high: float
    before: float
    after: float
    size: float


@dataclass(frozen=True, slots=True)
class _Line:
    """The predictions between two cases, which agree in all else."""

    subject: Subject
    start: Case
    end: Case

    def at(self, t: float) -> Case:
        first, unpack = pack(self.subject, self.start)
        last, _ = pack(self.subject, self.end)
        return unpack(first + t * (last - first))

    def value(self, t: float) -> float:
        return _value(self.subject, self.at(t))

    def steepest(self) -> _Place | None:
        return _steepest(self.value)

    def jumps(self, place: _Place) -> bool:
        """Whether the values stay apart a little to both sides: rounding of a steep slope does not."""
        width, gap = 1e-9, abs(place.after - place.before)
        if gap <= _JUMP * place.size:
            return False
        left, right = self.value(place.low - width), self.value(place.high + width)
        return abs(left - place.before) + abs(right - place.after) < 0.1 * gap


def _smaller(line: _Line) -> _Line:
    """A line with fewer samples and rounder numbers on which the loss still jumps, along one number if possible."""
    subject, count = line.subject, len(line.start)
    ends = tuple(subject.arguments[i] for i in subject.predictions)
    both = replace(subject, arguments=(*subject.arguments, *ends))

    def of(case: Sequence[Tensor]) -> _Line:
        changes = dict(zip(subject.predictions, case[count:], strict=True))
        return _Line(subject, tuple(case[:count]), replaced(case[:count], changes))

    def fails(case: Sequence[Tensor]) -> bool:
        found = of(case).steepest()
        return found is not None and of(case).jumps(found)

    best = (*line.start, *(line.end[i] for i in subject.predictions))
    best = shrink(both, best, fails, _SECONDS)
    line = of(best)
    first, unpack = pack(subject, line.start)
    last, _ = pack(subject, line.end)
    for i in range(first.numel()):
        along = first.clone()
        along[i] = last[i]
        single = unpack(along)
        candidate = (*line.start, *(single[k] for k in subject.predictions))
        if first[i] != last[i] and fails(candidate):
            return of(shrink(both, candidate, fails, _SECONDS))
    return line


def _told(line: _Line) -> Result:
    """The jump of a line, shown by two calls."""
    place = line.steepest()
    assert place is not None
    before, after = _alone(line.subject, line.at(place.low), line.at(place.high))
    costs = _value(line.subject, before), _value(line.subject, after)
    gap = float((pack(line.subject, after)[0] - pack(line.subject, before)[0]).norm())
    falls = _rewarded(line.subject, before, after, costs)
    turned = costs[1], costs[0]
    if not falls and _rewarded(line.subject, after, before, turned):
        before, after, costs, falls = after, before, turned, True
    arguments = ", ".join(source(value) for value in before)
    return failed(
        "bug" if falls else "convention",
        (_FALLS if falls else _JUMPS)(before=costs[0], after=costs[1], gap=gap),
        case=after,
        seen=f"{costs[0]:.6g} {costs[1]:.6g}",
        expected="no jump",
        call=f"print(loss({arguments}), loss({{args}}))",
    )


def _alone(subject: Subject, before: Case, after: Case) -> tuple[Case, Case]:
    """The same jump by one number alone, if there is such a one."""
    first, unpack = pack(subject, before)
    last, _ = pack(subject, after)
    gap = _value(subject, after) - _value(subject, before)
    for i in (first != last).nonzero().flatten().tolist():
        moved = first.clone()
        moved[i] = last[i]
        if abs(_value(subject, unpack(moved)) - _value(subject, before) - gap) < 0.1 * abs(gap):
            return before, unpack(moved)
    return before, after


def _rewarded(subject: Subject, before: Case, after: Case, costs: tuple[float, float]) -> bool:
    """Whether no error of a real prediction has shrunk, some have grown, and the loss has fallen."""
    if subject.kinds != ("values", "real") or before[0].shape != before[1].shape:
        return False
    grown = (after[0] - after[1]).abs() - (before[0] - before[1]).abs()
    return costs[1] < costs[0] and bool((grown >= 0).all()) and bool((grown > 0).any())


def _value(subject: Subject, case: Case) -> float:
    with torch.no_grad():
        return float(subject.value(case))


def _steepest(value: Callable[[float], float]) -> _Place | None:
    """The smallest interval around the steepest place; ``None`` where the loss is constant or not finite."""
    places = [i / (_POINTS - 1) for i in range(_POINTS)]
    values = [value(t) for t in places]
    size = max(values) - min(values)
    if not 1e-9 < size < 1e12:
        return None
    i = max(range(_POINTS - 1), key=lambda k: abs(values[k + 1] - values[k]))
    low, high, before, after = places[i], places[i + 1], values[i], values[i + 1]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high or abs(after - before) <= _JUMP * size:
            break
        here = value(middle)
        if abs(here - before) >= abs(after - here):
            high, after = middle, here
        else:
            low, before = middle, here
    return _Place(low, high, before, after, size)


CHECK = Check(
    name="continuous",
    title=Text(en="the loss does not jump", zh="损失没有跳跃"),
    run=_run,
    slow=True,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def _huber(x: Tensor, t: Tensor, offset: float) -> Tensor:
    d = (x - t).abs()
    return torch.where(d < 1, 0.5 * d.square(), d - offset).mean()


def broken() -> Subject:
    """Huber's branches do not meet without the constant of the second."""
    return Subject(name="huber in two pieces", call=lambda x, t: _huber(x, t, 0.0), arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="huber", call=lambda x, t: _huber(x, t, 0.5), arguments=_PAIR)
