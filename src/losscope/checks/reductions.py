"""``reduction`` means what it says, and what ``mean`` divides by.

``sum`` must be the sum of ``none``. ``mean`` must be that sum over something that can be named: the number of elements,
of samples, or of what is not ignored; the pass says which. An unknown word must be refused: silently treating
``"men"`` as ``"sum"`` or ``"none"`` is a convention that hides typing mistakes.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import NotALoss, Raised, Subject, planted
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_NO_OPTION = Text(en="the loss has no option reduction", zh="该损失没有 reduction 选项")
_SUM = Text(
    en="reduction='sum' gives {seen:.8g}, the sum of reduction='none' is {expected:.8g}",
    zh="reduction='sum' 得到 {seen:.8g}，而 reduction='none' 的总和为 {expected:.8g}",
)
_MEAN = Text(
    en="reduction='mean' is the sum divided by {divisor:.6g}, which is no count of anything: {elements} elements, "
    "{samples} samples",
    zh="reduction='mean' 等于总和除以 {divisor:.6g}，但这不是任何计数：{elements} 个元素，{samples} 个样本",
)
_NONE = Text(
    en="reduction='none' returns a single number for {samples} samples",
    zh="reduction='none' 对 {samples} 个样本只返回一个数",
)
_UNKNOWN = Text(en="an unknown reduction 'men' is accepted silently", zh="未知的 reduction 'men' 被静默接受")
_PASS = Text(en="mean = sum / {what}", zh="mean = 总和 / {what}")


def _run(subject: Subject) -> Iterator[Result]:
    none, total, mean = (subject.with_options(reduction=r) for r in ("none", "sum", "mean"))
    if none is None or total is None or mean is None:
        yield skipped(_NO_OPTION)
        return
    case = subject.case(0)
    each = none(*case)
    samples = subject.count(case)
    if each.dim() == 0 and samples > 1 and not _couples(subject):
        yield failed("convention", _NONE(samples=samples), case=case, seen="a single number", subject=none)
        return
    yield from _sum(subject, none, total)
    yield from _mean(none, mean, samples)
    yield from _unknown(subject, case)


def _couples(subject: Subject) -> bool:
    return subject.spec is not None and subject.spec.batch_coupled


def _sum(subject: Subject, none: Subject, total: Subject) -> Iterator[Result]:
    for case in subject.cases(3):
        seen, expected = float(total.value(case)), float(none(*case).sum())
        if abs(seen - expected) > 1e-5 * (1 + abs(expected)):
            yield failed(
                "bug",
                _SUM(seen=seen, expected=expected),
                case=case,
                seen=f"{seen:.8g}",
                expected=f"{expected:.8g}",
                subject=total,
                fails=lambda c: abs(float(total.value(c)) - float(none(*c).sum())) > 1e-3,
            )
            return


def _mean(none: Subject, mean: Subject, samples: int) -> Iterator[Result]:
    """Every case must have the same divisor by name."""
    names: set[str] | None = None
    divisor, elements = 0.0, 0
    for case in none.cases(4):
        each, value = none(*case), float(mean.value(case))
        if abs(value) < 1e-9:
            continue
        divisor, elements = float(each.sum()) / value, each.numel()
        fitting = {
            what
            for what, count in _counts(none, case, each, samples).items()
            if count and abs(divisor - count) <= 1e-4 * abs(count)
        }
        names = fitting if names is None else names & fitting
    if names is None:
        return
    if not names:
        declared = none.spec is not None and none.spec.denominator not in ("", "number of elements")
        severity = "by-design" if declared else "convention"
        text = _MEAN(divisor=divisor, elements=elements, samples=samples)
        yield failed(severity, text, case=none.case(0), seen=f"{divisor:.6g}", subject=mean)
    else:
        order = ("number of elements", "number of samples", "number of elements of the target", "Σ weights")
        yield passed(_PASS, what=next((n for n in order if n in names), sorted(names)[0]))


def _counts(subject: Subject, case: Sequence[Tensor], each: Tensor, samples: int) -> dict[str, float]:
    """What a mean may sensibly divide by."""
    counts: dict[str, float] = {
        "number of elements": each.numel(),
        "number of samples": samples,
        "1 (no division)": 1,
        "number of nonzero losses": float((each != 0).sum()),
    }
    for position in subject.targets:
        target, kind = case[position], subject.kind(position)
        counts["number of elements of the target"] = target.numel()
        if subject.arguments[position].of.high == 1.0:
            counts["number of positives"] = float((target > 0).sum())
        weight = subject.options.get("weight")
        if kind.startswith("class-index") and isinstance(weight, Tensor):
            counts["Σ weights"] = float(weight.to(torch.float64)[target].sum())
        if kind == "class-index" and isinstance(subject.option("ignore_index"), int):
            counts["number of targets not ignored"] = float((target != subject.option("ignore_index")).sum())
    return counts


def _unknown(subject: Subject, case: Sequence[Tensor]) -> Iterator[Result]:
    typo = subject.with_options(reduction="men")
    if typo is None:
        return
    try:
        typo(*case)
    except (Raised, NotALoss):
        return
    yield failed("convention", _UNKNOWN(), seen="no error", expected="an error", case=case, subject=typo)


CHECK = Check(
    name="reduction",
    title=Text(en="reductions mean what they say", zh="reduction 名副其实"),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    """``sum`` averages over the columns."""

    def rowwise(x: Tensor, t: Tensor, reduction: str = "mean") -> Tensor:
        each = (x - t).square()
        return {"none": each, "sum": each.mean(1).sum(), "mean": each.mean()}[reduction]

    return planted("sum of means", rowwise, _PAIR, "reduction")


def sound() -> Subject:
    return planted("mse", F.mse_loss, _PAIR, "reduction")
