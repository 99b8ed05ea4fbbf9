"""float32, float16 and bfloat16 give what float64 gives, up to rounding.

Ordinary inputs are rounded to the lower precision first, then the same numbers are evaluated in float64: what
remains is the loss's own rounding. Up to 64 units of it relative to 1 + |value| is allowed. A larger difference is
a **bug** (a convention where the numbers in between are too large for half precision); a precision that the loss
refuses is a **convention**, and so is float64 input that is computed in float32.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, severity_in
from losscope.checks.differences import precision_of
from losscope.checks.subject import Raised, Subject, cast, pack, room
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_UNITS = 64

_DIFFERS = Text(
    en="{dtype} gives {seen:.6g}, the same numbers in float64 give {true:.6g}",
    zh="{dtype} 得到 {seen:.6g}，而相同的数在 float64 下得到 {true:.6g}",
)
_REFUSED = Text(en="{dtype} is refused: {error}", zh="不接受 {dtype}：{error}")
_NARROWED = Text(en="float64 inputs are computed in float32 inside", zh="float64 输入在内部以 float32 计算")
_PASS = Text(en="agree within rounding: {dtypes}", zh="在舍入误差内一致：{dtypes}")


def _run(subject: Subject) -> Iterator[Result]:
    agreed = []
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        try:
            found = _differing(subject, dtype)
        except Raised as raised:
            yield failed("convention", _REFUSED(dtype=name, error=str(raised)))
            continue
        if found is None:
            agreed.append(name)
            continue
        case, seen, true = found
        yield failed(
            "bug" if math.isfinite(seen) else severity_in(subject, dtype),
            _DIFFERS(dtype=name, seen=seen, true=true),
            case=case,
            fails=lambda candidate, dtype=dtype: differs(subject, candidate, dtype) is not None,
            again=lambda c, dtype=dtype: figures_of(differs(subject, c, dtype)),
            seen=f"{seen:.6g}",
            expected=f"{true:.6g}",
        )
        break
    case = subject.case(0)
    x, unpack = pack(subject, case)
    if precision_of(lambda v: subject.value(unpack(v)), x, room(subject, case)) > 1e-10:
        yield failed("convention", _NARROWED())
    if agreed:
        yield passed(_PASS, {"precisions": len(agreed)}, dtypes=", ".join(agreed))


def figures_of(found: tuple[float, float] | None) -> dict[str, float]:
    """What a message and a repro say of both values."""
    return {} if found is None else {"seen": found[0], "true": found[1], "expected": found[1]}


def _differing(subject: Subject, dtype: torch.dtype) -> tuple[Sequence[Tensor], float, float] | None:
    for case in subject.cases(3, (1.0, 3.0)):
        low = cast(case, dtype)
        found = differs(subject, low, dtype)
        if found is not None:
            return (low, *found)
    return None


def differs(subject: Subject, case: Sequence[Tensor], dtype: torch.dtype) -> tuple[float, float] | None:
    """Both values where they differ by more than rounding allows."""
    low = cast(case, dtype)
    seen = float(subject.value(low))
    true = float(subject.value(cast(low, torch.float64)))
    if not math.isfinite(true) or abs(true) > torch.finfo(dtype).max / 16:
        return None
    allowed = _UNITS * torch.finfo(dtype).eps * (1 + abs(true))
    return None if abs(seen - true) <= allowed else (seen, true)


CHECK = Check(
    name="precision",
    title=Text(en="lower precisions agree with float64", zh="低精度与 float64 一致"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """The mean of squares minus the square of the mean: cancellation."""

    def variance(x: Tensor, t: Tensor) -> Tensor:
        d = (x - t) + 300.0
        return (d * d).mean() - d.mean() ** 2

    return Subject(name="cancelling variance", call=variance, arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)
