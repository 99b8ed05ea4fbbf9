"""An empty batch does not break training.

No samples at all, as the last batch of a filtered data set or an image without boxes gives them. torch.nn returns NaN
for a mean over nothing and 0 for a sum; an error or a NaN is therefore a convention, told before it costs a night.
"""

import math
from collections.abc import Iterator

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Raised, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument
from losscope.losses.reduction import reduce

_NAN = Text(en="a batch without samples gives {seen}", zh="空批次得到 {seen}")
_RAISES = Text(en="a batch without samples raises {error}", zh="空批次引发 {error}")
_PASS = Text(en="a batch without samples gives {seen:.6g}", zh="空批次得到 {seen:.6g}")
_NO_SAMPLES = Text(en="the loss has no axis of samples", zh="该损失没有样本轴")


def _run(subject: Subject) -> Iterator[Result]:
    positions = [i for i in range(len(subject.arguments)) if subject.axis(i) is not None]
    if not positions:
        yield skipped(_NO_SAMPLES)
        return
    full = subject.case(0)
    case = subject.rows(full, full[positions[0]].new_zeros(0).long())
    try:
        seen = float(subject.value(case))
    except Raised as raised:
        yield failed("convention", _RAISES(error=str(raised)), case=case, seen=str(raised))
        return
    if math.isfinite(seen):
        yield passed(_PASS, {"value": seen}, seen=seen)
    else:
        yield failed("convention", _NAN(seen=seen), case=case, seen=str(seen), expected="0 or an error")


CHECK = Check(
    name="empty-batch",
    title=Text(en="an empty batch gives a number", zh="空批次得到有限数"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)


def sound() -> Subject:
    def safe(x: Tensor, t: Tensor) -> Tensor:
        return reduce((x - t).square())

    return Subject(name="safe mse", call=safe, arguments=_PAIR)
