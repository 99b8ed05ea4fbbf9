"""An option does what its name says: it changes the loss, and not merely its scale.

β in DPO and the temperature of a softmax stand inside of the sigmoid or the exponential: they decide how far a pair
must be apart. Outside (``-beta * logsigmoid(d)``) they only multiply the loss, as a learning rate would, and the model
is trained with β = 1 whatever is chosen. A margin that is taken off every class cancels, a temperature that is computed
and never used leaves the loss alone. Options with names of that kind are halved and doubled on cases of several sizes;
what never changes anything, or multiplies everything by the same number, is a **convention**: a weight β of a single
term is meant to. So is an argument that changes nothing, whatever it holds (the log-likelihoods of a reference that a
later line overwrites). Attributes of a live module are left alone: others may have been computed from them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.ideals import COMPARED
from losscope.checks.subject import Case, NotALoss, Raised, Subject, planted, replaced
from losscope.core.text import Message, Text
from losscope.losses.arguments import Argument

_FLATTENS = ("temperature", "temp", "tau", "t")
_SHAPES = (
    *_FLATTENS,
    "beta",
    "gamma",
    "gamma_pos",
    "gamma_neg",
    "margin",
    "m",
    "smoothing",
    "label_smoothing",
)
_PAIRED = ("log-likelihoods", "scores")
_TAUGHT = ("logits", "teacher-logits")
_FACTORS = (0.5, 2.0)
_SAME = 1e-12
_RATIO = 1e-9
_CASES, _SPREAD = 3, (1.0, 5.0)

_IDLE = Text(
    en="{name} changes nothing: with {low:g} and {high:g} the loss is {seen:.6g} alike",
    zh="{name} 不起任何作用：取 {low:g} 和 {high:g} 时损失同为 {seen:.6g}",
)
_SCALES = Text(
    en="{name} only multiplies the loss ({ratio:.4g} times as much with {high:g} as with {low:g}, whatever the "
    "predictions): within the sigmoid or softmax it would tell how far apart is far enough",
    zh="{name} 只是乘在损失上（无论预测如何，取 {high:g} 时都是取 {low:g} 时的 {ratio:.4g} 倍）：它应在 sigmoid 或 "
    "softmax 内部决定差距多大才足够",
)
_UNUSED = Text(
    en="the argument {name} changes nothing: other values of it give the same {seen:.6g}",
    zh="参数 {name} 不起任何作用：取其他值时损失同为 {seen:.6g}",
)
_PASS = Text(en="{names}: each changes more than the scale", zh="{names}：都不只改变尺度")
_NONE = Text(en="the loss has no such option", zh="该损失没有此类选项")


def _run(subject: Subject) -> Iterator[Result]:
    tried, told = [], False
    for name in sorted(n for n in subject.accepts if n.lower() in _SHAPES):
        values = None if subject.by_attribute else _values(subject, name)
        if values is None:
            continue
        tried.append(name)
        result = _judged(subject, name, *values)
        if result is not None:
            told = True
            yield result
    for position, argument in enumerate(() if subject.described else subject.arguments[1:], 1):
        if (result := _unused(subject, position, argument.name)) is not None:
            told = True
            yield result
    if not tried and not told:
        yield skipped(_NONE)
    elif not told:
        yield passed(_PASS, names=", ".join(tried))


def _unused(subject: Subject, position: int, name: str) -> Result | None:
    """An argument that may hold anything."""
    seen = math.nan
    for seed in range(_CASES):
        case, other = subject.case(seed), subject.case(seed + 31)
        if torch.equal(case[position], other[position]):
            return None
        try:
            with torch.no_grad():
                seen = float(subject.value(case))
                moved = float(subject.value(replaced(case, {position: other[position]})))
        except (Raised, NotALoss):
            return None
        if seen != moved:
            return None
    case = replaced(subject.case(0), {position: subject.case(31)[position]})
    named = subject.names[position] if position < len(subject.names) else name
    return failed("convention", _UNUSED(name=named, seen=seen), case=case)


def _values(subject: Subject, name: str) -> tuple[list[float], list[float]] | None:
    """Losses of several cases with half of an option and with twice as much; ``None`` where it cannot be had."""
    now = subject.option(name)
    if isinstance(now, bool) or not isinstance(now, int | float) or not now > 0:
        return None
    low, high = (subject.with_options(**{name: factor * now}) for factor in _FACTORS)
    if low is None or high is None:
        return None
    try:
        with torch.no_grad():
            cases = list(subject.cases(_CASES, _SPREAD))
            return [float(low.value(c)) for c in cases], [float(high.value(c)) for c in cases]
    except (Raised, NotALoss):
        return None


def _judged(subject: Subject, name: str, low: list[float], high: list[float]) -> Result | None:
    case, now = subject.case(0), float(subject.option(name))
    small, large = (factor * now for factor in _FACTORS)
    differ = max(low) - min(low) > 1e-6 * (abs(max(low)) + abs(min(low)))
    if not differ:
        return None
    if all(abs(a - b) <= _SAME * (abs(a) + abs(b)) for a, b in zip(low, high, strict=True)):
        return _failure(subject, name, small, case, _IDLE(name=name, low=small, high=large, seen=low[0]))
    ratios = [b / a for a, b in zip(low, high, strict=True) if abs(a) > 1e-9]
    if _shapes(subject, name) and len(ratios) > 1 and _alike(ratios):
        text = _SCALES(name=name, low=small, high=large, ratio=ratios[0])
        return _failure(subject, name, small, case, text)
    return None


def _shapes(subject: Subject, name: str) -> bool:
    """Whether an option of this name is meant to stand within a sigmoid or a softmax."""
    if name.lower() in _FLATTENS:
        return subject.kinds in (*COMPARED, _TAUGHT) or subject.kinds[0] in _PAIRED
    return name.lower() == "beta" and subject.kinds[:2] in ((_PAIRED[0],) * 2, (_PAIRED[1],) * 2)


def _alike(ratios: Sequence[float]) -> bool:
    return max(ratios) - min(ratios) <= _RATIO * abs(max(ratios))


def _failure(subject: Subject, name: str, value: float, case: Case, text: Message) -> Result:
    return failed("convention", text, case=case, subject=subject.with_options(**{name: value}))


CHECK = Check(
    name="option-effect",
    title=Text(en="options change more than the scale", zh="选项不只改变尺度"),
    run=_run,
)

_FOUR = (
    *(Argument(name, "log-likelihoods") for name in ("chosen", "rejected")),
    *(Argument(f"reference_{name}", "reference-log-likelihoods") for name in ("chosen", "rejected")),
)


def _preference(inside: bool) -> Subject:
    def dpo(c: Tensor, r: Tensor, c0: Tensor, r0: Tensor, beta: float = 0.1) -> Tensor:
        gap = (c - c0) - (r - r0)
        return -F.logsigmoid(beta * gap).mean() if inside else -beta * F.logsigmoid(gap).mean()

    return replace(planted("dpo", dpo, _FOUR, "beta"), defaults={"beta": 0.1})


def broken() -> Subject:
    return _preference(inside=False)


def sound() -> Subject:
    return _preference(inside=True)
