"""What is wrong has a gradient, or it is not learnt.

A prediction that is wrong for sure may not cost less than one that is wrong by a little: a modulating factor that
forgets the label, (1 - p)^γ for negatives too, does that, and what is far enough on the wrong side is pushed further.
That is a **bug**.

There are two ways to lose the gradient. ``log(softmax(z) + ε)`` (a clamp, F.binary_cross_entropy of a sigmoid) is
constant where the prediction is wrong for sure: the gradient is that of a cross-entropy up to there and then gone. And
a selection that keeps the easiest samples of a batch, not the hardest (``sort`` the wrong way round), or an error that
is clipped instead of its slope, gives the one sample that is clearly wrong no gradient at all beside others that have
one. These are a **convention**: samples of large loss are left out on purpose where labels are noisy, and redescending
losses ignore far outliers. Losses that are bounded by design lose their gradient gradually and are left alone.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.saturation import WRONG_BY, judged, labels, pulls, saturation, scored
from losscope.checks.subject import Case, NotALoss, Raised, Subject, replaced
from losscope.core.text import Message, Text
from losscope.losses.arguments import Argument

_OTHERS = 7
_RIGHT, _WRONG = 1.0, -4.0
_ERRORS = (0.3, 5.0)
_NOTHING = 1e-9
_SURE, _CLEARLY = 8.0, 0.05

_SATURATES = Text(
    en="a prediction that is wrong by {at:g} has a gradient of {gone:.1e}, one that is wrong by {before:g} one of "
    "{near:.3g}: the logarithm is bounded (eps or clamp beside softmax or sigmoid), and what is wrong for sure is not "
    "learnt; log_softmax and logsigmoid need no bound",
    zh="错误幅度为 {at:g} 的预测梯度为 {gone:.1e}，幅度为 {before:g} 的为 {near:.3g}：对数被截断（softmax 或 sigmoid "
    "旁的 eps 或 clamp），确信的错误无法被学习；log_softmax 和 logsigmoid 无需截断",
)
_DROPPED = Text(
    en="the one sample of a batch that is clearly wrong has no gradient, the others have up to {most:.3g}: the easiest "
    "samples are kept, not the hardest",
    zh="批次中唯一明显错误的样本没有梯度，其他样本梯度最大为 {most:.3g}：保留的是最容易而非最困难的样本",
)
_CLIPPED = Text(
    en="an error of {large:g} has no gradient, one of {small:g} has {most:.3g}: large errors are not corrected",
    zh="误差为 {large:g} 时没有梯度，误差为 {small:g} 时梯度为 {most:.3g}：大的误差得不到修正",
)
_REWARDED = Text(
    en="a prediction that is wrong by {more:g} costs {seen:.6g}, one that is wrong by {less:g} only costs more, "
    "{expected:.6g}: who is wrong enough is rewarded (label {label})",
    zh="错误幅度为 {more:g} 的预测损失为 {seen:.6g}，幅度仅为 {less:g} 的反而更大，为 {expected:.6g}："
    "错得足够多反受奖励（标签 {label}）",
)
_PASS = Text(en="wrong predictions have a gradient", zh="错误的预测有梯度")
_NONE = Text(
    en="which sample is wrong is not known for these arguments", zh="对于这些参数，哪个样本错误是未知的"
)


def _run(subject: Subject) -> Iterator[Result]:
    pair = subject.kinds == ("values", "real") and subject.axis(0) == 0
    if subject.described or not (pair or judged(subject)):
        yield skipped(_NONE)
        return
    found = [_clipped(subject)] if pair else [_rewarded(subject), _saturated(subject), _dropped(subject)]
    if any(found):
        yield from (result for result in found if result is not None)
    else:
        yield passed(_PASS)


def _rewarded(subject: Subject) -> Result | None:
    """A label for which the cost of a wrong prediction falls again as it gets worse."""
    for label in labels(subject):
        cases = {size: scored(subject, torch.full((2,), -size), label) for size in WRONG_BY}
        right = _cost(subject, scored(subject, torch.full((2,), _SURE), label))
        costs = {size: _cost(subject, case) for size, case in cases.items()}
        known = {size: cost for size, cost in costs.items() if math.isfinite(cost)}
        if len(known) < 2 or not math.isfinite(right):
            continue
        less = max(known, key=known.__getitem__)
        more = min((s for s in known if s >= less), key=known.__getitem__)
        if known[more] < known[less] - _CLEARLY * max(abs(known[less] - right), 1e-9):
            figures = {
                "seen": known[more],
                "expected": known[less],
                "more": more,
                "less": less,
                "label": label,
            }
            shown = {"seen": f"{known[more]:.6g}", "expected": f"at least {known[less]:.6g}"}
            return failed("bug", _REWARDED(**figures), case=cases[more], **shown)
    return None


def _cost(subject: Subject, case: Case) -> float:
    try:
        with torch.no_grad():
            return float(subject.value(case))
    except (Raised, NotALoss):
        return math.nan


def _saturated(subject: Subject) -> Result | None:
    found = saturation(subject)
    if found is None:
        return None
    figures = {"at": found.at, "gone": found.gone, "before": found.before, "near": found.near}
    return _failure(_SATURATES(**figures), found.case, f"{found.gone:.4g}", f"about {found.near:.3g}")


def _dropped(subject: Subject) -> Result | None:
    """One wrong sample among others that are right by a little."""
    margins = torch.full((_OTHERS + 1,), _RIGHT)
    margins[-1] = _WRONG
    case = scored(subject, margins)
    most = _without(subject, case)
    return None if most is None else _failure(_DROPPED(most=most), case, "0", "the largest of all")


def _clipped(subject: Subject) -> Result | None:
    """One large error among small ones."""
    case = subject.case(0, N=_OTHERS + 1)
    if case[0].shape != case[1].shape:
        return None
    small, large = _ERRORS
    error = torch.full_like(case[0], small)
    error[-1] = large
    case = replaced(case, {0: (case[1] + error).round(decimals=3)})
    most = _without(subject, case)
    if most is None:
        return None
    return _failure(_CLIPPED(large=large, small=small, most=most), case, "0", "not 0")


def _without(subject: Subject, case: Case) -> float | None:
    """The largest gradient of a sample where the last has none; ``None`` where it has one."""
    slope = pulls(subject, case)
    if slope is None or len(slope) != _OTHERS + 1:
        return None
    most = float(slope[:-1].max())
    return most if most > 0 and float(slope[-1]) <= _NOTHING * most else None


def _failure(text: Message, case: Case, seen: str, expected: str) -> Result:
    """Shown by the gradient of the last sample, as one number."""
    call = "x = {first}; loss({args_with_x}).sum().backward(); print(float(x.grad[-1].norm()))"
    return failed("convention", text, case=case, seen=seen, expected=expected, call=call, requires_grad=True)


CHECK = Check(
    name="hard-samples",
    title=Text(en="what is wrong has a gradient", zh="错误的预测有梯度"),
    run=_run,
)

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    return Subject(
        name="log of softmax plus eps",
        call=lambda z, y: F.nll_loss((z.softmax(1) + 1e-8).log(), y),
        arguments=_PAIR,
    )


def sound() -> Subject:
    """Generalised cross-entropy is bounded by design."""
    return Subject(
        name="generalised cross-entropy",
        call=lambda z, y: ((1 - z.softmax(1).gather(1, y[:, None]) ** 0.5) / 0.5).mean(),
        arguments=_PAIR,
    )
