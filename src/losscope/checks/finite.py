"""Value and gradient are numbers wherever a right number exists.

Extreme inputs (scores of ±1e4, zeros, ties, perfect answers, empty and full masks, probabilities of exactly 0 and 1) in
float32, float16 and bfloat16 (and float64). The true value comes from float64, or, where float64 fails as well, from
the growth of the loss between moderate sizes: as a figure where it is a straight line there, else as no more than
whether it is a number. A NaN or infinity is a **bug** where the true value is a number that
the format can hold. It is right where the true value is too large (a squared error of 10⁸ in float16; a loss that
grows exponentially), and a **convention** where it is infinite at the very edge of a bounded domain (-ln 0 against a
distribution). Against labels -ln 0 is a **bug** of a loss without a contract: a sigmoid of 17 or a softmax of scores
104 apart gives exactly 1 or 0 in float32, the loss of these scores is 17 or 104, and one such sample ends the training.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, severity_in, skipped
from losscope.checks.extremes import LABELS, Extreme, extremes
from losscope.checks.subject import Raised, Subject, cast, gradients
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_SAFE_SIZES = ((8.0, 16.0, 32.0), (2.0, 4.0, 8.0))  # 1 - σ(32) is still a number in float64
_EVEN_SIZES = (
    (160.0, 240.0, 320.0),
    (16.0, 20.0, 24.0),
)  # where exp(-size) is nothing, and 1 - σ still exact
_STRAIGHT = 1e-5
_POLYNOMIAL = 4.5  # a loss that grows by more than 2^4.5 per doubling is taken for exponential
_HEADROOM = 16.0

_VALUE = Text(
    en="{name}, {dtype}: the value is {seen}, although the true one is about {true:.4g}",
    zh="{name}，{dtype}：损失值为 {seen}，而真实值约为 {true:.4g}",
)
_VALUE_SOME = Text(
    en="{name}, {dtype}: the value is {seen}, although the true one is a number",
    zh="{name}，{dtype}：损失值为 {seen}，而真实值是有限数",
)
_VALUE_UNKNOWN = Text(en="{name}, {dtype}: the value is {seen}", zh="{name}，{dtype}：损失值为 {seen}")
_GRADIENT = Text(
    en="{name}, {dtype}: the value is {value:.4g}, but its gradient holds {seen}",
    zh="{name}，{dtype}：损失值为 {value:.4g}，但梯度中含有 {seen}",
)
_INFINITE = Text(
    en="{name}, {dtype}: the value is infinite at the edge of the domain",
    zh="{name}，{dtype}：在定义域边缘损失值为无穷大",
)
_SATURATED = Text(
    en="{name}, {dtype}: the value is infinite; a saturated sigmoid or softmax gives these probabilities, of which the "
    "loss takes a logarithm without a bound (eps, clamp, or a loss of scores)",
    zh="{name}，{dtype}：损失值为无穷大；饱和的 sigmoid 或 softmax 会给出这样的概率，而损失对其取对数时没有下界（eps、"
    "clamp，或改用基于分数的损失）",
)
_STEEP = Text(
    en="{name}, {dtype}: the value is {value:.4g}, but its gradient is infinite",
    zh="{name}，{dtype}：损失值为 {value:.4g}，但梯度为无穷大",
)
_RAISES = Text(en="{name}: {error}", zh="{name}：{error}")
_PASS = Text(
    en="{count} extreme cases in {dtypes}: numbers everywhere",
    zh="{count} 个极端输入（{dtypes}）：处处为有限数",
)
_NONE = Text(en="nothing is extreme about inputs of this kind", zh="此类输入没有极端情形")


def _run(subject: Subject) -> Iterator[Result]:
    count, reported, tried = 0, set(), set()
    for extreme in extremes(subject):
        for dtype in _DTYPES:
            judged = _judge(subject, extreme, dtype)
            if judged is None:
                continue
            what, found = judged
            count += 1
            tried.add(str(dtype).removeprefix("torch."))
            if found.severity and (what, found.severity) not in reported:
                reported.add((what, found.severity))
                yield found
    if count == 0:
        yield skipped(_NONE)
    elif not reported:
        yield passed(_PASS, {"cases": count}, count=count, dtypes=", ".join(sorted(tried)))


def _judge(subject: Subject, extreme: Extreme, dtype: torch.dtype) -> tuple[str, Result] | None:
    """A result for one case in one precision, and of what; ``None`` where the loss does not take this precision."""
    case = cast(extreme.case, dtype)
    if not _finite(case):  # the format cannot hold it
        return None
    try:
        value, _, found = gradients(subject, case)
    except Raised as raised:
        if dtype not in (torch.float32, torch.float64) or isinstance(raised.error, NotImplementedError):
            return None
        return _of("error", _raised(subject, extreme, raised))
    name = str(dtype).removeprefix("torch.")
    if not math.isfinite(float(value.detach())):
        return _of("value", _bad_value(subject, extreme, dtype, name, float(value.detach())))
    bad = [g for g in found if g is not None and not bool(torch.isfinite(g).all())]
    if bad:
        return _of("gradient", _bad_gradient(subject, extreme, dtype, name, (float(value.detach()), bad[0])))
    return "all", passed(_PASS, count=1, dtypes=name)


def _finite(case: Sequence[Tensor]) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in case if value.dtype.is_floating_point)


def _of(what: str, result: Result | None) -> tuple[str, Result] | None:
    return None if result is None else (what, result)


def _raised(subject: Subject, extreme: Extreme, raised: Raised) -> Result | None:
    """An error on an input that is allowed; ordinary cases that raise as well are told elsewhere."""
    try:
        subject.value(cast(subject.case(0), torch.float32))
    except Raised:
        return None
    return failed(
        "convention",
        _RAISES(name=extreme.name, error=str(raised)),
        case=cast(extreme.case, torch.float32),
        seen=str(raised),
    )


def true_value(subject: Subject, extreme: Extreme) -> tuple[float, str]:
    """The value in exact arithmetic as far as it can be known: infinite if it must be taken for that, NaN if unknown.
    The words tell it, and are empty where no more is known than its order of magnitude.

    float64 where that gives a number. Else, for unbounded predictions, a straight line through moderate sizes, or the
    polynomial growth between them, carried on to the size of the case; exponential growth counts as infinite.
    """
    try:
        value = float(subject.value(cast(extreme.case, torch.float64)))
    except Raised:
        return math.nan, ""
    if not math.isfinite(value) and subject.by_value and subject.spec is not None and subject.spec.function:
        with suppress(Exception):  # another implementation of the same loss
            value = float(subject.spec.function(*cast(extreme.case, torch.float64)).sum())
    if math.isfinite(value) or extreme.at is None:
        return value, f"{value:.6g}"
    line = _on_a_line(subject, extreme)
    if line is not None:
        return line, f"about {line:.4g}"
    for sizes in _SAFE_SIZES:
        try:
            small, middle, large = (abs(float(subject.value(extreme.bent(size)))) for size in sizes)
        except Raised:
            return math.nan, ""
        if all(math.isfinite(v) for v in (small, middle, large)):
            return _extrapolated(small, middle, large, extreme.reach / sizes[-1]), ""
    return math.nan, ""


def _on_a_line(subject: Subject, extreme: Extreme) -> float | None:
    """The value where the loss of moderate sizes is a + b·size; ``None`` where it is not."""
    for sizes in (s for s in _EVEN_SIZES if s[-1] <= extreme.reach):
        try:
            low, middle, high = (float(subject.value(extreme.bent(size))) for size in sizes)
        except Raised:
            return None
        first, second = middle - low, high - middle
        if abs(second - first) <= _STRAIGHT * max(abs(second), 1e-3 * abs(high)):
            return high + second * (extreme.reach - sizes[-1]) / (sizes[2] - sizes[1])
    return None


def _extrapolated(small: float, middle: float, large: float, times: float) -> float:
    """The value at ``times`` the largest of three sizes, each twice the one before."""
    if large <= 1e-12 or middle <= 1e-12:
        return large
    growth, before = math.log2(large / middle), math.log2(max(middle, 1e-300) / max(small, 1e-300))
    if growth > _POLYNOMIAL or (growth > 2.2 and growth > 1.5 * before):
        return math.inf
    return large * times ** max(growth, 0.0)


def _in_float64(subject: Subject, case: Sequence[Tensor]) -> float:
    return float(subject.value(cast(case, torch.float64)))


def _of_labels(subject: Subject) -> bool:
    """Whether a loss without a contract compares probabilities with labels."""
    certain = any(subject.kind(i) in LABELS for i in subject.targets)
    return certain and not subject.described


def _bad_value(
    subject: Subject, extreme: Extreme, dtype: torch.dtype, name: str, seen: float
) -> Result | None:
    true, told = true_value(subject, extreme)
    if math.isfinite(true) and abs(true) * _HEADROOM >= torch.finfo(dtype).max:
        return None
    if math.isinf(true) and not math.isnan(seen):
        if not extreme.boundary:
            return None
        text, severity = _INFINITE(name=extreme.name, dtype=name), "convention"
        if _of_labels(subject):
            text, severity = _SATURATED(name=extreme.name, dtype=name), "bug"
    elif math.isinf(true):
        text, severity = _VALUE_UNKNOWN(name=extreme.name, dtype=name, seen=seen), "bug"
        if not extreme.boundary:
            return None
    elif math.isnan(true):
        severity = "bug" if math.isnan(seen) else "convention"
        text = _VALUE_UNKNOWN(name=extreme.name, dtype=name, seen=seen)
    elif not told:
        text, severity = _VALUE_SOME(name=extreme.name, dtype=name, seen=seen), severity_in(subject, dtype)
    else:
        text = _VALUE(name=extreme.name, dtype=name, seen=seen, true=true)
        severity = severity_in(subject, dtype)

    known = math.isfinite(_in_float64(subject, extreme.case))

    def fails(candidate: Sequence[Tensor]) -> bool:
        value = float(subject.value(cast(candidate, dtype)))
        same = math.isnan(value) if math.isnan(seen) else math.isinf(value)
        return same and _finite(candidate) and (not known or math.isfinite(_in_float64(subject, candidate)))

    def again(candidate: Sequence[Tensor]) -> dict[str, float]:
        there = _in_float64(subject, candidate)
        return {"true": there, "expected": there}

    return failed(
        severity,
        text,
        case=cast(extreme.case, dtype),
        # Where float64 fails as well, the truth is known of this case only: a smaller one may fail for other reasons.
        fails=fails if known or not math.isfinite(true) else None,
        again=again if known else None,
        seen=str(seen),
        expected=told if math.isfinite(true) and told else "a number",
    )


def _bad_gradient(
    subject: Subject, extreme: Extreme, dtype: torch.dtype, name: str, told: tuple[float, Tensor]
) -> Result | None:
    """A gradient that is no number although the value is one."""
    value, gradient = told
    nan = bool(torch.isnan(gradient).any())
    if not nan and (dtype in (torch.float16, torch.bfloat16) or (extreme.boundary and subject.described)):
        return None  # a slope that is too steep for the format, or truly infinite at the edge of the domain

    def fails(candidate: Sequence[Tensor]) -> bool:
        v, _, found = gradients(subject, cast(candidate, dtype))
        return (
            _finite(candidate)
            and math.isfinite(float(v.detach()))
            and any(g is not None and not bool(torch.isfinite(g).all()) for g in found)
        )

    steep = extreme.boundary and not nan
    text = _STEEP(name=extreme.name, dtype=name, value=value)
    return failed(
        "convention" if steep else severity_in(subject, dtype),
        text
        if steep
        else _GRADIENT(name=extreme.name, dtype=name, value=value, seen="NaN" if nan else "inf"),
        case=cast(extreme.case, dtype),
        fails=fails,
        seen="NaN" if nan else "inf",
        expected="a finite gradient",
        requires_grad=True,
        call="x = {first}; loss({args_with_x}).sum().backward(); print(x.grad)",
    )


CHECK = Check(
    name="finite",
    title=Text(en="value and gradient are numbers at extreme inputs", zh="极端输入下损失值和梯度均为有限数"),
    run=_run,
)

_BINARY = (Argument("input", "binary-logits"), Argument("target", "binary"))


def broken() -> Subject:
    """The logarithm of a sigmoid, which is 0 for a score of -1e4."""
    return Subject(
        name="naive bce",
        call=lambda z, t: -(t * z.sigmoid().log() + (1 - t) * (1 - z.sigmoid()).log()).mean(),
        arguments=_BINARY,
    )


def sound() -> Subject:
    """Squared error: 1e8 does not fit into float16, and that is right."""
    pair = (Argument("input", "values"), Argument("target", "real"))
    return Subject(name="mse", call=F.mse_loss, arguments=pair)
