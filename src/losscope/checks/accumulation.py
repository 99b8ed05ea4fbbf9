"""A mean over many elements stays right: it is not summed up in too few bits, or overflows before it is divided.

One case of up to 4096 samples (fewer where every sample meets every other), large losses, in float32, float16 and
bfloat16 against float64 on the same numbers. Only a ``mean`` is judged: a sum over that many may truly overflow.
"""

import math
import time
from collections.abc import Iterator
from contextlib import suppress

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.checks.check import Check, Result, failed, passed, severity_in, skipped
from losscope.checks.precision import differs, figures_of
from losscope.checks.subject import Case, NotALoss, Raised, Subject, cast
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_SAMPLES = (4096, 2048, 1024, 512)
_ROWS = 128
_STEEP = 0.05  # seconds for 128 samples: the cost grows with their cube, or a sample is large
_SECONDS = 0.1  # for one call, if its cost grows with the square of the number of samples

_WRONG = Text(
    en="a batch of {n} in {dtype} gives {seen:.6g}, the same numbers in float64 give {true:.6g}",
    zh="对 {n} 个样本，{dtype} 得到 {seen:.6g}，而相同的数在 float64 下得到 {true:.6g}",
)
_PASS = Text(en="{n} samples: {dtypes} right within rounding", zh="{n} 个样本：{dtypes} 在舍入误差内正确")
_NOT_A_MEAN = Text(en="its value grows with the number of samples", zh="其值随样本数增长")
_NO_SAMPLES = Text(en="the loss has no axis of samples", zh="该损失没有样本轴")


def _run(subject: Subject) -> Iterator[Result]:
    if all(subject.axis(i) is None for i in range(len(subject.arguments))):
        yield skipped(_NO_SAMPLES)
        return
    most = 512 if _took(subject, torch.float64, 128) < _STEEP else 128
    few, many = (float(subject.value(subject.case(0, 8.0, N=n))) for n in (64, most))
    if abs(many) > 3 * abs(few) + 1:
        yield skipped(_NOT_A_MEAN)
        return
    right = []
    n = _affordable(subject) if most == 512 else most
    case = subject.case(0, 8.0, N=n)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        try:
            found = differs(subject, case, dtype)
        except Raised:
            continue
        if found is None or _in_single_samples(subject, case, dtype, found):
            right.append(name)
            continue
        seen, true = found
        yield failed(
            severity_in(subject, dtype),
            _WRONG(n=n, dtype=name, seen=seen, true=true),
            case=cast(case, dtype),
            fails=lambda candidate, dtype=dtype: differs(subject, candidate, dtype) is not None,
            again=lambda c, dtype=dtype: {"n": subject.count(c), **figures_of(differs(subject, c, dtype))},
            seen=f"{seen:.6g}",
            expected=f"{true:.6g}",
        )
        return
    yield passed(_PASS, n=n, dtypes=", ".join(right))


def _in_single_samples(subject: Subject, case: Case, dtype: torch.dtype, found: tuple[float, float]) -> bool:
    """Whether samples alone, in this precision and then averaged in float64, are off by as much: no matter of sums."""
    seen, true = found
    if not math.isfinite(seen):
        return False
    rows = range(0, subject.count(case), max(1, subject.count(case) // _ROWS))
    low = cast(case, dtype)
    try:
        ones = [subject.rows(low, torch.tensor([i])) for i in rows]
        each = [(float(subject.value(x)), float(subject.value(cast(x, torch.float64)))) for x in ones]
    except (Raised, NotALoss):
        return False
    off = sum(a - b for a, b in each) / len(each)
    average = sum(b for _, b in each) / len(each)
    return (
        abs(average - true) <= 0.5 * abs(true)
        and off * (seen - true) > 0
        and abs(off) > 0.5 * abs(seen - true)
    )


def _took(subject: Subject, dtype: torch.dtype, n: int) -> float:
    """Seconds of this process for one call."""
    case = cast(subject.case(0, 8.0, N=n), dtype)
    began = time.process_time()
    subject.value(case)
    return time.process_time() - began


def _affordable(subject: Subject) -> int:
    """How many samples: told by the time of one call in the lowest precision that the loss takes."""
    for dtype in (torch.float16, torch.float32):
        with suppress(Raised):  # what is refused takes no time
            took = _took(subject, dtype, 512)
            return next((n for n in _SAMPLES if took * (n / 512) ** 2 < _SECONDS), _SAMPLES[-1])
    return _SAMPLES[-1]


CHECK = Check(
    name="accumulation",
    title=Text(
        en="a mean over thousands of samples is right in every precision", zh="数千样本的均值在各精度下均正确"
    ),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """Summed in the precision of the input, then divided."""
    return Subject(name="sum first", call=lambda x, t: (x - t).square().sum() / x.numel(), arguments=_PAIR)


def sound() -> Subject:
    return Subject(name="mse", call=F.mse_loss, arguments=_PAIR)
