"""A right and sure answer costs nothing, or more: never less than nothing.

The negative logarithm of a probability is at least 0. ``F.nll_loss`` of a softmax without its logarithm is minus a
probability: it lies between -1 and 0, its gradient is that of an absolute error, which almost vanishes for what is
wrong, and no error is raised. Looked for at scores of 30 for the right class. A **convention**: a negative score or
overlap is minimised on purpose here and there.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.saturation import judged, scored
from losscope.checks.subject import NotALoss, Raised, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_SURE = 30.0
_BELOW = -1e-3

_NEGATIVE = Text(
    en="a right and sure answer costs {seen:.4g}, less than nothing: a probability without its logarithm, perhaps "
    "(nll_loss wants log_softmax)",
    zh="正确且确信的回答损失为 {seen:.4g}，小于零：可能是未取对数的概率（nll_loss 需要 log_softmax）",
)
_PASS = Text(en="a right and sure answer costs {seen:.4g}", zh="正确且确信的回答损失为 {seen:.4g}")
_NONE = Text(
    en="what a right answer is, is not known for these arguments", zh="对于这些参数，何为正确回答未知"
)


def _run(subject: Subject) -> Iterator[Result]:
    if not judged(subject) or subject.described:
        yield skipped(_NONE)
        return
    case = scored(subject, torch.full((2,), _SURE))
    try:
        with torch.no_grad():
            seen = float(subject.value(case))
    except (Raised, NotALoss):
        seen = math.nan
    if math.isnan(seen):
        yield skipped(_NONE)
    elif seen < _BELOW:
        yield failed("convention", _NEGATIVE(seen=seen), case=case, seen=f"{seen:.6g}", expected="at least 0")
    else:
        yield passed(_PASS, seen=seen)


CHECK = Check(
    name="below-zero",
    title=Text(en="a right answer costs no less than nothing", zh="正确回答的损失不小于零"),
    run=_run,
)

_PAIR = (Argument("input", "logits"), Argument("target", "class-index"))


def broken() -> Subject:
    return Subject(name="nll of a softmax", call=lambda z, y: F.nll_loss(z.softmax(1), y), arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="cross-entropy", call=F.cross_entropy, arguments=_PAIR)
