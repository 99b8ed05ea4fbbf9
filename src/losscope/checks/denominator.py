"""A mean of a divergence divides by the number of samples, not of classes.

A divergence is a sum over classes, so that classes of probability 0 on both sides change nothing. ``nn.KLDivLoss``
with ``reduction="mean"`` divides by the number of elements: it is smaller than the divergence by the number of
classes (its documentation says so, and names ``batchmean``), and a weight that was found for 10 classes is a hundred
times too small for 1000. A **convention**, told with the factor. Tested by adding as many classes, unused ones.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import NotALoss, Raised, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_UNUSED = {
    **dict.fromkeys(("logits", "teacher-logits"), -1e4),
    "log-probabilities": -1e4,
    **dict.fromkeys(("class-probabilities", "distribution"), 0.0),
}
_CLOSE = 1e-6

_SHRINKS = Text(
    en="with {classes} unused classes beside {classes} the loss is {seen:.6g} instead of {expected:.6g}: the mean "
    "divides by the number of elements, not of samples (as KLDivLoss(reduction='mean') does, unlike 'batchmean'), and "
    "is {classes} times smaller than the divergence",
    zh="在 {classes} 个类别之外再加 {classes} 个未使用的类别，损失为 {seen:.6g} 而非 {expected:.6g}："
    "平均除以元素数而非样本数（如 KLDivLoss(reduction='mean')，不同于 'batchmean'），比散度小 {classes} 倍",
)
_PASS = Text(en="unused classes change nothing", zh="未使用的类别不影响损失")
_NONE = Text(en="no distribution is compared with another", zh="没有比较两个分布")


def _run(subject: Subject) -> Iterator[Result]:
    kinds = subject.kinds
    axes = [subject.axis(i, "C") for i in range(len(kinds))]
    if (
        len(kinds) != 2
        or not set(kinds) <= set(_UNUSED)
        or kinds[1] not in ("teacher-logits", "distribution")
    ):
        yield skipped(_NONE)
        return
    case = subject.case(0)
    try:
        with torch.no_grad():
            expected = float(subject.value(case))
            wider = replaced(case, {i: _widened(kinds[i], case[i], axis or 1) for i, axis in enumerate(axes)})
            seen = float(subject.value(wider))
    except (Raised, NotALoss):
        yield skipped(_NONE)
        return
    if not (math.isfinite(seen) and math.isfinite(expected) and abs(expected) > 1e-9):
        yield skipped(_NONE)
    elif abs(seen - expected / 2) <= _CLOSE * abs(expected):
        classes = case[0].shape[axes[0] or 1]
        yield failed(
            "convention",
            _SHRINKS(classes=classes, seen=seen, expected=expected),
            case=wider,
            seen=f"{seen:.6g}",
            expected=f"{expected:.6g}",
        )
    elif abs(seen - expected) <= _CLOSE * (1 + abs(expected)):
        yield passed(_PASS)
    else:
        yield skipped(_NONE)


def _widened(kind: str, value: Tensor, axis: int) -> Tensor:
    return torch.cat([value, torch.full_like(value, _UNUSED[kind])], axis)


CHECK = Check(
    name="denominator",
    title=Text(en="a divergence is not divided by the number of classes", zh="散度不除以类别数"),
    run=_run,
)

_PAIR = (Argument("student", "logits"), Argument("teacher", "teacher-logits"))


def _divergence(case: Sequence[Tensor], reduction: str) -> Tensor:
    return F.kl_div(case[0].log_softmax(1), case[1].softmax(1), reduction=reduction)


def broken() -> Subject:
    return Subject(name="mean", call=lambda *case: _divergence(case, "mean"), arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="batchmean", call=lambda *case: _divergence(case, "batchmean"), arguments=_PAIR)
