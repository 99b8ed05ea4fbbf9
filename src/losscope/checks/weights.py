"""A weight belongs to its sample: weights [N] and [N, 1] mean the same, and a sample of weight 0 does not count.

Weights of shape [N, 1] times losses of shape [N] are [N, N]: every weight multiplies every loss, and the mean is the
product of two means, in which no sample weighs more than another. The value is plausible and linear in the weights.
So the prediction of a sample of weight 0 is changed: neither the value nor the gradients of others may move. And a
column of weights must be refused, or give what a vector gives.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Case, NotALoss, Raised, Subject, planted, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_KINDS = ("weights",)
_CLOSE = 1e-6

_COUNTS = Text(
    en="a sample of weight 0 counts: another prediction of it changes the value from {first:.6g} to {seen:.6g}",
    zh="权重为 0 的样本仍然计入：改变其预测使损失值从 {first:.6g} 变为 {seen:.6g}",
)
_COLUMN = Text(
    en="weights of shape [N, 1] give {seen:.6g} instead of {expected:.6g}: every weight meets every sample",
    zh="形状为 [N, 1] 的权重得到 {seen:.6g} 而不是 {expected:.6g}：每个权重与每个样本相乘",
)
_NOT_LINEAR = Text(
    en="the value is no weighted mean or sum: {seen:.6g} instead of {mean:.6g} or {total:.6g}",
    zh="损失值既不是加权平均也不是加权和：{seen:.6g}，而非 {mean:.6g} 或 {total:.6g}",
)
_PASS = Text(en="samples count by their weights", zh="样本按权重计入")
_NONE = Text(en="no argument holds a weight for each sample", zh="没有参数为每个样本给出权重")


def _run(subject: Subject) -> Iterator[Result]:
    position = next((i for i, a in enumerate(subject.arguments) if a.kind in _KINDS), None)
    named = position is not None and "weight" in subject.arguments[position].name
    if position is None or subject.axis(position) != 0 or (subject.described and not named):
        yield skipped(_NONE)
        return
    found = list(_weightless(subject, position)) + list(_column(subject, position))
    yield from found
    if not found:
        linear = list(_linear(subject, position))
        yield from linear or [passed(_PASS)]


def _value(subject: Subject, case: Case) -> float:
    with torch.no_grad():
        return float(subject.value(case))


def _weightless(subject: Subject, position: int) -> Iterator[Result]:
    case = subject.case(0)
    weights = case[position].clone()
    weights[0] = 0.0
    case = replaced(case, {position: weights})
    moved = _moved(subject, case)
    first, seen = _value(subject, case), _value(subject, moved)
    if abs(seen - first) > _CLOSE * (1 + abs(first)):
        text = _COUNTS(first=first, seen=seen)
        yield failed("bug", text, case=moved, seen=f"{seen:.6g}", expected=f"{first:.6g}")


def _moved(subject: Subject, case: Case) -> Case:
    """Another prediction of the first sample, of the same kind."""
    other = subject.case(7)
    changes = {}
    for i in subject.predictions:
        value = case[i].clone()
        value[0] = other[i][0]
        changes[i] = value
    return replaced(case, changes)


def _column(subject: Subject, position: int) -> Iterator[Result]:
    case = subject.case(0)
    if case[position].dim() != 1:
        return
    column = replaced(case, {position: case[position][:, None]})
    try:
        seen = _value(subject, column)
    except (Raised, NotALoss):
        return
    expected = _value(subject, case)
    if math.isfinite(seen) and abs(seen - expected) > _CLOSE * (1 + abs(expected)):
        text = _COLUMN(seen=seen, expected=expected)
        yield failed("bug", text, case=column, seen=f"{seen:.6g}", expected=f"{expected:.6g}")


def _linear(subject: Subject, position: int) -> Iterator[Result]:
    """Σ wᵢ·ℓᵢ, over a constant or over Σ wᵢ, where ℓᵢ is the value with all weight on one sample."""
    case = subject.case(0)
    weights = case[position]
    alone = []
    for i in range(len(weights)):
        only = torch.zeros_like(weights)
        only[i] = 1.0
        alone.append(_value(subject, replaced(case, {position: only})))
    each = torch.tensor(alone, dtype=torch.float64)
    if not bool(each.isfinite().all()):
        return
    seen, total = _value(subject, case), float((weights * each).sum())
    mean = total / float(weights.sum())
    if min(abs(seen - total), abs(seen - mean)) > 1e-4 * (1 + abs(seen)):
        text = _NOT_LINEAR(seen=seen, mean=mean, total=total)
        yield failed("convention", text, case=case, seen=f"{seen:.6g}", expected=f"{mean:.6g} or {total:.6g}")


CHECK = Check(
    name="weights",
    title=Text(en="a weight belongs to its sample", zh="权重只作用于对应样本"),
    run=_run,
)

_THREE = (Argument("input", "values"), Argument("target", "real"), Argument("weight", "weights"))


def broken() -> Subject:
    """A column of weights times a vector of losses."""

    def crossed(x: Tensor, t: Tensor, w: Tensor) -> Tensor:
        return (w.reshape(-1, 1) * (x - t).square().mean(1)).mean()

    return planted("crossed weights", crossed, _THREE)


def sound() -> Subject:
    def weighted(x: Tensor, t: Tensor, w: Tensor) -> Tensor:
        return (w.reshape(-1) * (x - t).square().mean(1)).sum() / w.sum()

    return planted("weighted mean", weighted, _THREE)
