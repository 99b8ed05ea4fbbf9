"""Scores are turned into probabilities once.

A softmax in front of a cross-entropy that has its own, or a sigmoid in front of one "with logits", leaves a loss that
trains, slowly: a certain right answer of C classes still costs ln(1 + (C-1)/e), and the gradient of a wrong one
vanishes. Recognised by the value itself, which is that of the cross-entropy of probabilities taken for scores.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CASES = 3
_CLOSE = 1e-6

_TWICE = Text(
    en="the value is that of the cross-entropy of probabilities taken for scores: {what} is applied twice, and a "
    "certain right answer still costs {floor:.4g}",
    zh="损失值等于把概率当作得分的交叉熵：{what} 被应用了两次，确定的正确答案仍有 {floor:.4g} 的损失",
)
_PASS = Text(en="probabilities are made once", zh="概率只计算一次")
_NONE = Text(en="the loss has no scores that become probabilities", zh="该损失没有要变为概率的得分")

_KINDS = {
    ("logits", "class-index"): "softmax",
    ("logits", "one-hot"): "softmax",
    ("class-mask-logits", "class-index-map"): "softmax",
    ("binary-logits", "binary"): "sigmoid",
    ("mask-logits", "mask"): "sigmoid",
}


def _run(subject: Subject) -> Iterator[Result]:
    kinds = subject.kinds
    what = _KINDS.get(kinds) if len(kinds) == 2 else None
    if what is None:
        yield skipped(_NONE)
        return
    axis = subject.axis(0, "C")
    ratios = []
    with torch.no_grad():
        for case in subject.cases(_CASES, (3.0,)):
            expected = float(_twice(case[0], case[1], what, axis or 1))
            ratios.append(float(subject.value(case)) / expected)
    same = max(ratios) - min(ratios) <= _CLOSE * abs(max(ratios))
    if not same:
        yield passed(_PASS)
        return
    case = subject.case(0)
    case = (_certain(case[0], case[1], what, axis or 1), case[1])
    with torch.no_grad():
        floor = float(subject.value(case))
    yield failed("bug", _TWICE(what=what, floor=floor), case=case, seen=f"{floor:.4g}", expected="about 0")


def _twice(scores: Tensor, target: Tensor, what: str, axis: int) -> Tensor:
    if what == "sigmoid":
        return F.binary_cross_entropy_with_logits(scores.sigmoid(), target.reshape(scores.shape))
    target = target.movedim(axis, 1) if target.shape == scores.shape else target
    return F.cross_entropy(scores.softmax(axis).movedim(axis, 1), target)


def _certain(scores: Tensor, target: Tensor, what: str, axis: int) -> Tensor:
    """Scores of ±30 for the right answers."""
    if what == "sigmoid":
        return 60.0 * target.reshape(scores.shape) - 30.0
    right = (
        target if target.shape == scores.shape else F.one_hot(target, scores.shape[axis]).movedim(-1, axis)
    )
    return 60.0 * right.to(scores.dtype) - 30.0


CHECK = Check(
    name="normalised-twice",
    title=Text(en="probabilities are made once", zh="概率只计算一次"),
    run=_run,
)

_ARGUMENTS = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    return Subject(
        name="softmax before cross-entropy",
        call=lambda z, y: F.cross_entropy(z.softmax(1), y),
        arguments=_ARGUMENTS,
    )


def sound() -> Subject:
    """A second log_softmax changes nothing."""
    return Subject(
        name="log_softmax before cross-entropy",
        call=lambda z, y: F.cross_entropy(z.log_softmax(1), y),
        arguments=_ARGUMENTS,
    )
