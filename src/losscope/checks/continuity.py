"""The loss does not jump.

A value that jumps where the prediction crosses a threshold has no gradient that tells of the jump: descent may go up
in steps. The usual cause are two branches that do not meet (a Huber loss without its -δ²/2). Looked for along random
lines through the space of predictions, by halving the interval with the largest difference until nothing is left
between its ends. Losses that select samples by a threshold jump by design.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.domains import inside
from losscope.checks.invariance import random
from losscope.checks.subject import Case, Subject, pack
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_LINES = 4
_POINTS = 33
_HALVINGS = 44
_JUMP = 1e-5  # of the range of the loss on the line

_JUMPS = Text(
    en="the loss jumps from {before:.6g} to {after:.6g} between two predictions that differ by {gap:.0e}",
    zh="两个仅相差 {gap:.0e} 的预测之间，损失从 {before:.6g} 跳到 {after:.6g}",
)
_PASS = Text(en="no jump on {lines} lines", zh="{lines} 条直线上没有跳跃")
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
        found = _jump(lambda t, x=x, s=step, u=unpack: _value(subject, u(x + t * s)))
        if found is None:
            continue
        looked += 1
        low, high, before, after, size = found
        if abs(after - before) > _JUMP * size and _apart(subject, x, step, unpack, low, high):
            gap = float((high - low) * step.norm())
            yield failed(
                "convention",
                _JUMPS(before=before, after=after, gap=gap),
                case=unpack(x + high * step),
                seen=f"{after:.6g}",
                expected=f"{before:.6g}, as right before",
            )
            return
    yield passed(_PASS, lines=looked) if looked else skipped(_NOTHING)


def _value(subject: Subject, case: Case) -> float:
    with torch.no_grad():
        return float(subject.value(case))


def _jump(value: Callable[[float], float]) -> tuple[float, float, float, float, float] | None:
    """The ends of the smallest interval around the steepest place, the values there, and the range on the line."""
    places = [i / (_POINTS - 1) for i in range(_POINTS)]
    values = [value(t) for t in places]
    size = max(values) - min(values)
    if not 1e-9 < size < 1e12:  # constant, or not finite
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
    return low, high, before, after, size


def _apart(
    subject: Subject, x: Tensor, step: Tensor, unpack: Callable[[Tensor], Case], low: float, high: float
) -> bool:
    """Whether the values stay apart a little to both sides: rounding of a steep slope does not."""
    width = 1e-9
    left, right = (_value(subject, unpack(x + t * step)) for t in (low - width, high + width))
    before, after = (_value(subject, unpack(x + t * step)) for t in (low, high))
    return abs(left - before) + abs(right - after) < 0.1 * abs(after - before)


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
