"""A temperature flattens: the larger it is, the less a right answer differs from a wrong one.

Similarities are divided by a temperature. Multiplied by 0.07 instead, they lie between -0.07 and 0.07, the softmax is
almost uniform, and the loss stays at its chance level ln N while everything looks right. For a loss of pairs or groups
with an option of that name, the share of the loss that right partners save is compared at half and at twice the
temperature. Names that say that they multiply (``logit_scale``) are left alone. Without an option nothing is varied,
and a loss of which right partners save less than a tenth is a **convention**.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.ideals import COMPARED, NOT_COMPARED, ideals
from losscope.checks.subject import Case, NotALoss, Raised, Subject, planted
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_NAMES = ("temperature", "temp", "tau", "t", "T", "base_temperature")
_SHARE = 0.15

_INVERTED = Text(
    en="with {name}={high:g} right partners save {more:.1%} of the loss, with {name}={low:g} only {less:.1%}: the "
    "similarities are multiplied by it, not divided",
    zh="{name}={high:g} 时正确配对节省损失的 {more:.1%}，{name}={low:g} 时仅 {less:.1%}：相似度是乘以而非除以温度",
)
_IDLE = Text(
    en="right partners cost {seen:.6g}, exchanged ones {other:.6g}: similarities hardly count, as where they are "
    "multiplied by a small temperature",
    zh="正确配对损失为 {seen:.6g}，错位配对为 {other:.6g}：相似度几乎不起作用，如同乘以了很小的温度",
)
_PASS = Text(en="a higher temperature flattens, a lower one sharpens", zh="温度越高越平缓，越低越尖锐")
_COUNTS = Text(en="right partners save {share:.0%} of the loss", zh="正确配对节省损失的 {share:.0%}")


def _run(subject: Subject) -> Iterator[Result]:
    if subject.kinds not in COMPARED:
        yield skipped(NOT_COMPARED)
        return
    found = _pair(subject)
    if found is None or not _softmax(subject):
        yield skipped(NOT_COMPARED)
        return
    name = next((n for n in _NAMES if n in subject.accepts and _number(subject.option(n))), None)
    varied = None if name is None else _varied(subject, name, found)
    if varied is not None:
        yield varied
        return
    seen, other = _values(subject, found)
    if not (math.isfinite(seen) and math.isfinite(other) and other > 1e-6):
        yield skipped(NOT_COMPARED)
        return
    share = 1 - seen / other
    if 0 <= share < _SHARE:
        yield failed(
            "convention",
            _IDLE(seen=seen, other=other),
            case=found[0],
            seen=f"{seen:.6g}",
            expected="much less",
        )
    else:
        yield passed(_COUNTS, share=share)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _pair(subject: Subject) -> tuple[Case, Case] | None:
    """Right partners in directions of their own, and exchanged ones."""
    sizes = {"D": 12} if "D" not in subject.sizes or subject.sizes["D"] < 12 else {}
    known = ideals(subject, subject.case(0, **sizes))
    if known is None:
        return None
    right, wrong = known
    return right, next(iter(wrong.values()))


def _softmax(subject: Subject) -> bool:
    """Whether the loss is near its chance level, a logarithm of a number of samples, for equal vectors."""
    case = subject.case(0)
    one = case[0][:1]
    same = tuple(one.expand_as(v).clone() if i in subject.predictions else v for i, v in enumerate(case))
    try:
        with torch.no_grad():
            value = float(subject.value(same))
    except (Raised, NotALoss):
        return False
    n = subject.count(case)
    chances = [math.log(k) for m in (n, 2 * n) for k in (m, m - 1, m - 2) if k > 1]
    return any(abs(value / times - chance) < 1e-3 for chance in chances for times in (1, 2, n, 2 * n))


def _values(subject: Subject, pair: tuple[Case, Case]) -> tuple[float, float]:
    try:
        with torch.no_grad():
            return float(subject.value(pair[0])), float(subject.value(pair[1]))
    except (Raised, NotALoss):
        return math.nan, math.nan


def _varied(subject: Subject, name: str, pair: tuple[Case, Case]) -> Result | None:
    """``None`` where the option cannot be varied, or changes nothing."""
    now = float(subject.option(name))
    shares = []
    for value in (0.5 * now, 2.0 * now):
        other = subject.with_options(**{name: value})
        if other is None:
            return None
        right, wrong = _values(other, pair)
        shares.append(1 - right / wrong if wrong > 1e-6 else math.nan)
    less, more = shares
    if not all(map(math.isfinite, shares)) or abs(more - less) < 1e-9:
        return None
    if more > less + 1e-3 * abs(less):
        text = _INVERTED(name=name, low=0.5 * now, high=2.0 * now, less=less, more=more)
        return failed(
            "bug", text, case=pair[0], seen=f"{more:.3g} at twice the {name}", expected=f"below {less:.3g}"
        )
    return passed(_PASS)


CHECK = Check(
    name="temperature",
    title=Text(en="a temperature divides", zh="温度用于相除"),
    run=_run,
)

_PAIR = (Argument("first", "embeddings"), Argument("second", "embeddings"))


def _similarities(a: Tensor, b: Tensor) -> Tensor:
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def broken() -> Subject:
    def times(a: Tensor, b: Tensor, temperature: float = 0.1) -> Tensor:
        return F.cross_entropy(_similarities(a, b) * temperature, torch.arange(len(a)))

    subject = planted("times the temperature", times, _PAIR, "temperature")
    return _with_default(subject)


def sound() -> Subject:
    def divided(a: Tensor, b: Tensor, temperature: float = 0.1) -> Tensor:
        return F.cross_entropy(_similarities(a, b) / temperature, torch.arange(len(a)))

    return _with_default(planted("by the temperature", divided, _PAIR, "temperature"))


def _with_default(subject: Subject) -> Subject:
    return replace(subject, defaults={"temperature": 0.1})
