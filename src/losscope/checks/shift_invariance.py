"""Adding one number to all scores of a sample changes nothing.

Softmax losses and pairwise ranking losses see differences of scores only: one direction of the scores is free, its
gradient is 0, and the logits of two models can be compared only up to it. Tested with another number for every sample
(for every pixel, where there are classes per pixel); scores that are one per sample share one number.
"""

from collections.abc import Iterator

import torch.nn.functional as F  # noqa: N812

from losscope.checks.check import Check, Result
from losscope.checks.domains import unbounded
from losscope.checks.invariance import along, invariant, random
from losscope.checks.subject import Case, Subject, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_TEXTS = (
    Text(
        en="adding one number to all scores of a sample changes the loss from {before:.6g} to {after:.6g}",
        zh="给样本的所有得分加上同一个数，损失从 {before:.6g} 变为 {after:.6g}",
    ),
    Text(
        en="adding one number to all scores of a sample changes nothing ({count} cases, at most {worst:.1e})",
        zh="给样本的所有得分加上同一个数，损失不变（{count} 个算例，最多 {worst:.1e}）",
    ),
    Text(en="the predictions are bounded: nothing can be added to them", zh="预测有界：不能加上一个数"),
)


def _shifted(subject: Subject, case: Case, seed: int) -> Case | None:
    if not subject.predictions or not all(unbounded(subject.kind(i)) for i in subject.predictions):
        return None
    first = case[subject.predictions[0]]
    shift = 3 * random(along(subject, subject.predictions[0], case), seed)
    changes = {}
    for i in subject.predictions:
        same = case[i].shape == first.shape
        changes[i] = case[i] + (shift if same else 3 * random(along(subject, i, case), seed))
    return replaced(case, changes)


def _run(subject: Subject) -> Iterator[Result]:
    yield from invariant(subject, "shift-invariant", lambda case, seed: _shifted(subject, case, seed), _TEXTS)


CHECK = Check(
    name="shift-invariant",
    title=Text(en="shift invariant: only differences of scores count", zh="平移不变：只有得分之差起作用"),
    run=_run,
    claim=True,
)


def broken() -> Subject:
    """A sigmoid for every class: the level of the scores counts."""
    arguments = (Argument("input", "logits"), Argument("target", "one-hot"))
    return Subject(name="sigmoids", call=F.binary_cross_entropy_with_logits, arguments=arguments)


def sound() -> Subject:
    arguments = (Argument("input", "logits"), Argument("target", "class-index"))
    return Subject(name="cross-entropy", call=F.cross_entropy, arguments=arguments)
