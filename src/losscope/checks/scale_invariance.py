"""Multiplying the predictions of a sample by a positive number changes nothing.

Losses of normalised embeddings see directions only: weight decay on the last layer does not bound the loss, and the
gradient grows as the norm shrinks. Tested with another factor from about 0.1 to 10 for every sample.
"""

from collections.abc import Iterator

import torch.nn.functional as F  # noqa: N812

from losscope.checks.check import Check, Result
from losscope.checks.invariance import along, invariant, random
from losscope.checks.subject import Case, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import INF, Argument

_TEXTS = (
    Text(
        en="multiplying the predictions of a sample by a number changes the loss from {before:.6g} to {after:.6g}",
        zh="样本的预测乘以正数，损失从 {before:.6g} 变为 {after:.6g}",
    ),
    Text(
        en="multiplying the predictions of a sample by a number changes nothing ({count} cases, at most {worst:.1e})",
        zh="样本的预测乘以正数，损失不变（{count} 个算例，最多 {worst:.1e}）",
    ),
    Text(en="the predictions are bounded: they cannot be multiplied", zh="预测有界：不能乘以一个数"),
)


def _scaled(subject: Subject, case: Case, seed: int) -> Case | None:
    kinds = [subject.arguments[i].of for i in subject.predictions]
    if not kinds or any(k.low not in (-INF, 0.0) or k.high != INF for k in kinds):
        return None
    if any(subject.kind(i) == "log-scale" for i in subject.predictions):
        return None
    changes = {i: case[i] * random(along(subject, i, case), seed).exp() for i in subject.predictions}
    return replaced(case, changes)


def _run(subject: Subject) -> Iterator[Result]:
    yield from invariant(subject, "scale-invariant", lambda case, seed: _scaled(subject, case, seed), _TEXTS)


CHECK = Check(
    name="scale-invariant",
    title=Text(en="scale invariant: only directions count", zh="尺度不变：只有方向起作用"),
    run=_run,
    claim=True,
)

_PAIR = (Argument("input", "embeddings"), Argument("target", "embeddings", as_role="target"))


def broken() -> Subject:
    """An inner product that nobody normalised."""
    return Subject(name="inner-product", call=lambda x, t: -(x * t).sum(1).mean(), arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="cosine", call=lambda x, t: (1 - F.cosine_similarity(x, t)).mean(), arguments=_PAIR)
