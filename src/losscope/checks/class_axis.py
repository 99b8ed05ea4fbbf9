"""Scores are compared between the classes of a sample, not between samples or places.

A softmax over classes does not see a number that is added to all scores of one sample; a softmax over the wrong axis
does not see one that is added to a class in the whole batch (or image) instead, which turns every decision around. A
loss that sees the first and not the second normalises over the wrong axis.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.invariance import TOLERANCE, random
from losscope.checks.subject import Case, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_CASES = 3
_SHIFT = 3.0
_NAMES = {"N": "the batch", "H": "rows", "W": "columns", "T": "time"}

_WRONG = Text(
    en="scores are normalised over {axis} instead of the classes: adding a number to one class throughout leaves the "
    "loss at {before:.6g}, adding one to all classes of a sample gives {after:.6g}",
    zh="得分在{axis}上而非类别上归一化：给某一类别整体加一个数，损失仍为 {before:.6g}；给一个样本的所有类别加一个数，"
    "损失变为 {after:.6g}",
)
_PASS = Text(
    en="adding a number to one class throughout changes the loss", zh="给某一类别整体加一个数会改变损失"
)
_NONE = Text(en="the loss has no scores per class with a class to be found", zh="该损失没有针对类别的得分")


def _run(subject: Subject) -> Iterator[Result]:
    position = next((i for i in subject.predictions if subject.axis(i, "C") is not None), None)
    indices = {"class-index", "class-index-map"}
    logits = position is not None and "logits" in subject.kind(position)
    if position is None or not logits or not any(subject.kind(i) in indices for i in subject.targets):
        yield skipped(_NONE)
        return
    argument = subject.arguments[position]
    axes = (argument.axes or argument.of.axes).split()
    cases = list(subject.cases(_CASES))
    if not _blind(subject, cases, position, axes, "C"):
        for axis in axes:
            if axis != "C" and _blind(subject, cases, position, axes, axis):
                yield _failure(subject, cases[0], position, axes, axis)
                return
    yield passed(_PASS)


def _shifted(case: Case, position: int, axes: list[str], axis: str, seed: int) -> Case:
    """One number for everything along ``axis``, another for each other place."""
    shape = [1 if a == axis else size for a, size in zip(axes, case[position].shape, strict=True)]
    return replaced(case, {position: case[position] + (_SHIFT * random(shape, seed)).round(decimals=3)})


def _blind(subject: Subject, cases: list[Case], position: int, axes: list[str], axis: str) -> bool:
    """Whether no such shift along ``axis`` is seen, while the loss does see its predictions."""
    sees = False
    with torch.no_grad():
        for seed, case in enumerate(cases):
            before = float(subject.value(case))
            after = float(subject.value(_shifted(case, position, axes, axis, seed)))
            other = float(subject.value(replaced(case, {position: case[position].flip(0, -1) * 2.0})))
            if abs(after - before) > TOLERANCE * (abs(before) + abs(after)):
                return False
            sees = sees or abs(other - before) > 1e-3 * (abs(before) + abs(other))
    return sees


def _failure(subject: Subject, case: Case, position: int, axes: list[str], axis: str) -> Result:
    with torch.no_grad():
        before = float(subject.value(case))
        after = float(subject.value(_shifted(case, position, axes, "C", 0)))
    shifted = _shifted(case, position, axes, axis, 0)
    text = _WRONG(axis=_NAMES.get(axis, axis), before=before, after=after)
    return failed("bug", text, case=shifted, seen=f"{before:.6g}", expected="another value")


CHECK = Check(
    name="class-axis",
    title=Text(en="scores are compared between classes", zh="得分在类别之间比较"),
    run=_run,
)

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    return Subject(
        name="softmax over the batch",
        call=lambda z, y: F.nll_loss(F.log_softmax(z, 0), y),
        arguments=_PAIR,
    )


def sound() -> Subject:
    """A sigmoid for each class sees every shift."""
    return Subject(
        name="sigmoids",
        call=lambda z, y: F.binary_cross_entropy_with_logits(z, F.one_hot(y, z.shape[1]).to(z.dtype)),
        arguments=_PAIR,
    )
