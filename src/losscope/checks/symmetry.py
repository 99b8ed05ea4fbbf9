"""Exchanging prediction and target changes nothing.

Distances are symmetric, divergences are not. A symmetric loss forgives arguments in the wrong order (in its value; the
gradient reaches one side), another one does not. Where a loss takes two predictions of the same kind and no target of
that kind, these two are exchanged.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.checks.check import Check, Result
from losscope.checks.domains import inside
from losscope.checks.invariance import invariant
from losscope.checks.subject import Case, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_TEXTS = (
    Text(
        en="exchanging prediction and target changes the loss from {before:.6g} to {after:.6g}",
        zh="交换预测与目标，损失从 {before:.6g} 变为 {after:.6g}",
    ),
    Text(
        en="exchanging prediction and target changes nothing ({count} cases, at most {worst:.1e})",
        zh="交换预测与目标，损失不变（{count} 个算例，最多 {worst:.1e}）",
    ),
    Text(en="there is nothing of the same kind to exchange", zh="没有同类的量可以交换"),
)


def _pair(subject: Subject, case: Case) -> tuple[int, int] | None:
    """What to exchange: the first prediction and a target like it, else two predictions of the same kind."""
    if not subject.predictions:
        return None
    first = subject.predictions[0]
    for other in (*subject.targets, *subject.predictions[1:]):
        a, b = case[first], case[other]
        alike = a.dim() == b.dim() and b.dtype.is_floating_point and a.shape[1:] == b.shape[1:]
        same_kind = subject.kind(other) == subject.kind(first) and a.shape == b.shape
        same_role = other in subject.targets or same_kind
        if alike and same_role and inside(subject, replaced(case, {first: b, other: a})):
            return first, other
    return None


def _exchanged(subject: Subject, case: Case) -> Case | None:
    pair = _pair(subject, case)
    if pair is None or any(subject.arguments[i].of.integer for i in pair):
        return None
    first, other = pair
    return replaced(case, {first: case[other], other: case[first]})


def _run(subject: Subject) -> Iterator[Result]:
    yield from invariant(subject, "symmetric", lambda case, _: _exchanged(subject, case), _TEXTS, whole=True)


CHECK = Check(
    name="symmetric",
    title=Text(en="symmetric in prediction and target", zh="对预测与目标对称"),
    run=_run,
    claim=True,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """A quantile loss at 0.9: to predict too low costs nine times as much."""

    def pinball(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.maximum(0.9 * (t - x), 0.1 * (x - t)).mean()

    return Subject(name="pinball", call=pinball, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="l1", call=F.l1_loss, arguments=_PAIR)
