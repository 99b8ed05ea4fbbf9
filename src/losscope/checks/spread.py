"""The best spread is the size of the error: neither the smallest nor the largest that there is.

A density that is told a variance (a scale, a logarithm of it) charges for being too sure and for being too unsure. For
errors of one size the loss must therefore be smallest at a spread in between. A forgotten or inverted ln σ², an
exponential with the wrong sign and a missing term make one end the cheapest, and the network goes there. A divergence
from the standard normal distribution, without a target, must be smallest at mean 0 and variance 1.

Where the best spread of errors of 1 lies elsewhere than at 1 (a squared error divided by σ beside a ln σ², a factor ½
on one side), what is predicted is no variance and no scale: a **convention**. Judged by the gradient, since its weight
may be detached.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.subject import Case, NotALoss, Raised, Subject, gradients, replaced
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_SPREADS = {"variance": False, "log-scale": True}
_POWERS = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)
_BESIDE = (-2.0, -0.7, -0.3, 0.0, 0.3, 0.7, 2.0)
"""Around 1: ln σ in place of ln σ² puts the minimum at a variance of 1/2."""
_ERROR, _NEAR = 1.0, 0.25

_END = Text(
    en="for errors of 1 the {which} spread is the cheapest ({seen:.6g}, one of about 1 costs {middle:.6g}): "
    "the loss rewards {what}",
    zh="误差为 1 时，{which}的离散程度损失最小（{seen:.6g}，而约为 1 时为 {middle:.6g}）：损失鼓励{what}",
)
_NORMAL = Text(
    en="the standard normal distribution costs {seen:.6g}, another one only {expected:.6g}: the divergence has the "
    "wrong sign, or lacks a term",
    zh="标准正态分布的损失为 {seen:.6g}，另一分布仅为 {expected:.6g}：散度符号错误或缺项",
)
_OFF = Text(
    en="for errors of 1 the best spread is no 1: at {spread:.4g} the loss still {way} as the spread grows: what is "
    "predicted is neither a variance nor a scale",
    zh="误差为 1 时最佳离散程度不是 1：在 {spread:.4g} 处，损失仍随离散程度增大而{way}：所预测的既非方差也非尺度",
)
_RISES, _DROPS = Text(en="rises", zh="上升"), Text(en="falls", zh="下降")
_SURE = Text(en="being sure, however wrong", zh="无论多错都更自信")
_UNSURE = Text(en="knowing nothing", zh="一无所知")
_LEAST, _MOST = Text(en="smallest", zh="最小"), Text(en="largest", zh="最大")
_PASS = Text(en="the best spread lies between the smallest and the largest", zh="最佳离散程度处于两端之间")
_PASS_NORMAL = Text(en="smallest at the standard normal distribution", zh="在标准正态分布处最小")
_NONE = Text(en="no spread is predicted", zh="没有预测离散程度")


def _run(subject: Subject) -> Iterator[Result]:
    kinds = [argument.kind for argument in subject.arguments]
    spread = next((i for i, kind in enumerate(kinds) if kind in _SPREADS), None)
    if spread is None or kinds[0] != "values" or len(kinds) > 3 or subject.kind(spread) not in _SPREADS:
        yield skipped(_NONE)
    elif len(kinds) == 2:
        yield from _latent(subject, spread)
    elif kinds[1] == "real":
        yield from _with_target(subject, spread)
    else:
        yield skipped(_NONE)


def _at(subject: Subject, case: Sequence[Tensor]) -> float:
    try:
        with torch.no_grad():
            return float(subject.value(case))
    except (Raised, NotALoss):
        return math.nan


def _filled(subject: Subject, spread: int, power: float, mean: Tensor) -> Case:
    """A case with these means, and the spread e to the power everywhere."""
    case = subject.case(0)
    number = power if _SPREADS[subject.kind(spread)] else math.exp(power)
    return replaced(case, {0: mean, spread: torch.full_like(case[spread], number)})


def _with_target(subject: Subject, spread: int) -> Iterator[Result]:
    case = subject.case(0)
    off = case[1] + _ERROR * torch.where(
        torch.arange(case[1].numel()).reshape(case[1].shape) % 2 == 0, 1.0, -1.0
    )
    cases = [_filled(subject, spread, power, off) for power in _POWERS]
    costs = [_at(subject, c) for c in cases]
    if not all(map(math.isfinite, costs)):
        yield skipped(_NONE)
        return
    best = min(range(len(costs)), key=costs.__getitem__)
    middle = costs[len(costs) // 2]
    if best in (0, len(costs) - 1) and costs[best] < middle - 1e-3 * (max(costs) - min(costs)):
        ends = (_LEAST(), _SURE()) if best == 0 else (_MOST(), _UNSURE())
        yield failed(
            "bug",
            _END(which=ends[0], what=ends[1], seen=costs[best], middle=middle),
            case=cases[best],
            seen=f"{costs[best]:.6g}",
            expected=f"more than {middle:.6g}",
            figures={f"spread e^{p:g}": v for p, v in zip(_POWERS, costs, strict=True)},
        )
        return
    yield _off(subject, spread, off) or passed(_PASS)


def _off(subject: Subject, spread: int, mean: Tensor) -> Result | None:
    """The spread for errors of 1 beside 1 at which the gradient has the wrong sign."""
    for power, sign in ((-_NEAR, -1.0), (_NEAR, 1.0)):
        case = _filled(subject, spread, power, mean)
        try:
            slope = gradients(subject, case)[2][subject.predictions.index(spread)]
        except (Raised, NotALoss, ValueError):
            return None
        if slope is None or not math.isfinite(float(slope.sum())):
            return None
        if float(slope.sum()) * sign < 0:
            text = _OFF(spread=float(case[spread].flatten()[0]), way=(_RISES if sign < 0 else _DROPS)())
            return failed("convention", text, case=case)
    return None


def _latent(subject: Subject, spread: int) -> Iterator[Result]:
    case = subject.case(0)
    zero = torch.zeros_like(case[0])
    here = _filled(subject, spread, 0.0, zero)
    seen = _at(subject, here)
    others = [_filled(subject, spread, p, zero + m) for p in _BESIDE for m in (-1.0, 0.0, 1.0)]
    costs = [_at(subject, other) for other in others]
    known = [c for c in costs if math.isfinite(c)]
    if not math.isfinite(seen) or not known:
        yield skipped(_NONE)
    elif min(known) < seen - 1e-6 * (1 + abs(seen)):
        cheapest = others[
            min(range(len(costs)), key=lambda i: costs[i] if math.isfinite(costs[i]) else math.inf)
        ]
        yield failed(
            "bug",
            _NORMAL(seen=seen, expected=min(known)),
            case=cheapest,
            seen=f"{min(known):.6g}",
            expected=f"at least {seen:.6g}, as at the standard normal distribution",
        )
    else:
        yield passed(_PASS_NORMAL)


CHECK = Check(
    name="spread",
    title=Text(en="the best spread is that of the errors", zh="最佳离散程度与误差相当"),
    run=_run,
)

_THREE = (Argument("input", "values"), Argument("target", "real"), Argument("var", "variance"))


def broken() -> Subject:
    """The logarithm of the variance is subtracted."""
    return Subject(
        name="gaussian nll with the wrong sign",
        call=lambda m, t, v: 0.5 * ((m - t).square() / v - v.log()).mean(),
        arguments=_THREE,
    )


def sound() -> Subject:
    return Subject(
        name="gaussian nll",
        call=lambda m, t, v: 0.5 * ((m - t).square() / v + v.log()).mean(),
        arguments=_THREE,
    )
