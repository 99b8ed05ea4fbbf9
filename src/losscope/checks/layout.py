"""Memory layout does not matter: transposed, strided and expanded tensors give what contiguous ones give.

Another value is a bug (a kernel or a ``view`` that misreads memory); an error ("view size is not compatible") is a
convention: callers must write ``.contiguous()``.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed
from losscope.checks.subject import Raised, Subject
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_DIFFERS = Text(
    en="non-contiguous arguments give {seen:.8g}, contiguous ones {expected:.8g}",
    zh="非连续参数得到 {seen:.8g}，连续参数得到 {expected:.8g}",
)
_RAISES = Text(en="non-contiguous arguments raise {error}", zh="非连续参数引发 {error}")
_PASS = Text(en="strided and transposed arguments give the same value", zh="跨步与转置的参数得到相同的值")


def strided(value: Tensor) -> Tensor:
    """The same values with other strides."""
    if value.dim() == 0 or value.numel() == 0:
        return value
    if value.dim() > 1:
        return value.transpose(0, -1).contiguous().transpose(0, -1)
    return torch.stack([value, value], -1)[..., 0]


def _run(subject: Subject) -> Iterator[Result]:
    for case in subject.cases(2):
        try:
            found = _differs(subject, case)
        except Raised as raised:
            yield failed(
                "convention",
                _RAISES(error=str(raised)),
                case=case,
                seen=str(raised),
                call="x = {first}.mT.contiguous().mT; print(loss({args_with_x}))",
            )
            return
        if found is not None:
            yield failed(
                "bug",
                _DIFFERS(seen=found[0], expected=found[1]),
                case=case,
                fails=lambda candidate: _differs(subject, candidate) is not None,
                seen=f"{found[0]:.8g}",
                expected=f"{found[1]:.8g}",
                call="x = {first}.mT.contiguous().mT; print(loss({args_with_x}), loss({args}))",
            )
            return
    yield passed(_PASS)


def _differs(subject: Subject, case: Sequence[Tensor]) -> tuple[float, float] | None:
    expected = float(subject.value(case))
    seen = float(subject.on(*(strided(value) for value in case)).sum())
    same = abs(seen - expected) <= 1e-6 * (1 + abs(expected)) or math.isnan(expected)
    return None if same else (seen, expected)


CHECK = Check(
    name="memory-layout",
    title=Text(en="memory layout does not matter", zh="内存布局无关紧要"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """Reads the storage as it lies."""

    def raw(x: Tensor, t: Tensor) -> Tensor:
        flat = torch.as_strided(x, (x.numel(),), (1,))
        return F.mse_loss(flat, t.reshape(-1))

    return Subject(name="storage order", call=raw, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)
