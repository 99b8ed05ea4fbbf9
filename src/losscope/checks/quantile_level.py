"""A quantile loss asks for the quantile that it is told, not for its mirror image.

With a higher level the best constant prediction must be higher. Prediction and target exchanged in the difference turn
q into 1 - q: at q = 0.9 the loss then asks for the value that nine tenths of the targets exceed. Also for expectiles.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from losscope.checks.check import Check, Result, failed, passed, skipped
from losscope.checks.shrink import source
from losscope.checks.subject import NotALoss, Raised, Subject, planted
from losscope.core.text import Text
from losscope.losses.arguments import Argument

_NAMES = ("q", "quantile", "tau", "level", "percentile", "quantile_level")
_LOW, _HIGH = 0.2, 0.8
_COUNT = 101

_MIRRORED = Text(
    en="with {name}={high} the best constant lies above {share_high:.0%} of the targets, with {name}={low} above "
    "{share_low:.0%}: prediction and target are exchanged",
    zh="{name}={high} 时最优常数高于 {share_high:.0%} 的目标，{name}={low} 时高于 {share_low:.0%}：预测与目标颠倒了",
)
_PASS = Text(
    en="with {name}={high} the best constant lies above {share_high:.0%} of the targets, with {name}={low} above "
    "{share_low:.0%}",
    zh="{name}={high} 时最优常数高于 {share_high:.0%} 的目标，{name}={low} 时高于 {share_low:.0%}",
)
_NONE = Text(en="the loss has no level of a quantile", zh="该损失没有分位数水平选项")


def _run(subject: Subject) -> Iterator[Result]:
    kinds = [a.kind for a in subject.arguments]
    name = next((n for n in _NAMES if n in subject.accepts), None)
    if name is None or kinds != ["values", "real"]:
        yield skipped(_NONE)
        return
    shares = {}
    for level in (_LOW, _HIGH):
        found = subject.with_options(**{name: level})
        best = None if found is None else _best_share(found)
        if best is None:
            yield skipped(_NONE)
            return
        shares[level] = best
    values = {
        "name": name,
        "low": _LOW,
        "high": _HIGH,
        "share_low": shares[_LOW],
        "share_high": shares[_HIGH],
    }
    if shares[_HIGH] < shares[_LOW] - 0.1:
        wrong = subject.with_options(**{name: _HIGH}) or subject
        zero = torch.zeros(1, 1, dtype=torch.float64)
        over, under = (float(wrong.value((zero + side, zero))) for side in (1.0, -1.0))
        calls = ", ".join(f"loss({source(zero + side)}, {source(zero)})" for side in (1.0, -1.0))
        yield failed(
            "bug",
            _MIRRORED(**values),
            case=(zero + 1.0, zero),
            seen=f"{over:.6g} {under:.6g}",
            expected=f"the first to be the smaller: at {name}={_HIGH} too much costs less than too little",
            call=f"print({calls})",
            subject=wrong,
        )
    elif shares[_HIGH] > shares[_LOW] + 0.1:
        yield passed(_PASS, **values)
    else:
        yield skipped(_NONE)


def _best_share(subject: Subject) -> float | None:
    """The share of skewed targets that lie below the constant which costs least."""
    column = int(subject.sizes.get("D", 1))
    target = torch.linspace(-1.5, 1.5, _COUNT, dtype=torch.float64).exp()[:, None].expand(-1, column)
    grid = torch.linspace(float(target.min()), float(target.max()), 4 * _COUNT, dtype=torch.float64)
    try:
        with torch.no_grad():
            costs = [float(subject.value((torch.full_like(target, float(c)), target.clone()))) for c in grid]
    except (Raised, NotALoss):
        return None
    best = grid[int(torch.tensor(costs).argmin())]
    return float((target[:, 0] < best).double().mean())


CHECK = Check(
    name="quantile-level",
    title=Text(
        en="a quantile loss asks for the quantile that it is told", zh="分位数损失所求正是给定的分位数"
    ),
    run=_run,
)

_PAIR = (Argument("input", "values"), Argument("target", "real"))


def broken() -> Subject:
    def mirrored(x: Tensor, t: Tensor, q: float = 0.5) -> Tensor:
        return torch.maximum(q * (x - t), (q - 1) * (x - t)).mean()

    return planted("mirrored pinball", mirrored, _PAIR, "q")


def sound() -> Subject:
    def pinball(x: Tensor, t: Tensor, q: float = 0.5) -> Tensor:
        return torch.maximum(q * (t - x), (q - 1) * (t - x)).mean()

    return planted("pinball", pinball, _PAIR, "q")
