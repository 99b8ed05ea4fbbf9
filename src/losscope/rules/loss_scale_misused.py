"""``loss-scale-misused``: the scale of mixed precision is still in the gradient where it is used or clipped.

**What it says.** ``GradScaler`` multiplied the loss, and nobody divided the gradient by that factor before the
optimiser stepped on it, or before it was clipped: steps are thousands of times too large, or the limit of the clipping
is in fact thousands of times smaller than it reads.

**Statistic.** None: the size of the same elements of one gradient right after ``backward`` and at the step (at the
clipping call, its own factor taken out), times the scale. It is 1 where somebody divided and S where nobody did.
Reported where it is 2 or more at nine tenths of at least five updates; for clipping only where it also cut the
gradient at nine tenths of the updates, to less than a thousandth in true units.

**Source.** PyTorch, *Automatic Mixed Precision examples*: ``scaler.unscale_(optimizer)`` before clipping,
``scaler.step(optimizer)`` in place of ``optimizer.step()``.

**Example.** ``scaler.scale(loss).backward(); optimizer.step()``.

**Remedy.** ``scaler.scale(loss).backward(); scaler.unscale_(optimizer); clip_grad_norm_(…); scaler.step(optimizer);
scaler.update()``.

**False alarms.** Silent on gradients that are divided by hand, on fused optimisers, on a limit that is multiplied
by the scale, on steps that are skipped, on ``GradScaler(enabled=False)``.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import every, falling, optimizer, record
from losscope.rules.reasons import too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import line_of, streams, values

_LEAST, _SHARE, _FACTOR, _CUT = 5, 0.9, 2.0, 1e-3
_TITLES = {
    "step": Text(
        en="The optimiser steps on gradients that are {factor:,.0f} times too large: the loss scale is still in them",
        zh="优化器使用的梯度大了 {factor:,.0f} 倍：其中仍含有损失缩放因子",
    ),
    "clip": Text(
        en="Gradients are clipped while the loss scale of {factor:,.0f} is in them: the limit is as much too small",
        zh="裁剪梯度时其中仍含有损失缩放因子 {factor:,.0f}：实际阈值小了同样的倍数",
    ),
}
_EVIDENCE = Text(
    en="gradient at this moment ÷ true gradient, from its elements after backward: {factor:,.4g} (median of {count})",
    zh="此刻的梯度 ÷ 真实梯度（由 backward 之后的元素得出）：{factor:,.4g}（{count} 次的中位数）",
)
_EXPECTED = Text(en="1: the scale is divided out before", zh="1：事先除去缩放因子")
_REMEDIES = {
    "step": Text(
        en="Call scaler.step(optimizer) and scaler.update() in place of optimizer.step().",
        zh="用 scaler.step(optimizer) 和 scaler.update() 代替 optimizer.step()。",
    ),
    "clip": Text(
        en="Call scaler.unscale_(optimizer) before clip_grad_norm_.",
        zh="在 clip_grad_norm_ 之前调用 scaler.unscale_(optimizer)。",
    ),
}


def judge(recording: Recording) -> Outcome:
    most = 0
    for stream in streams(recording):
        for moment in _TITLES:
            found = values(recording, signals.SCALE_LEFT, f"{stream}/{moment}")
            most = max(most, int(found.size))
            if found.size < _LEAST or np.count_nonzero(found >= _FACTOR) < _SHARE * found.size:
                continue
            factor = float(np.median(found))
            if moment == "step" or _cuts(recording, stream, factor):
                return [_finding(recording, stream, moment, factor)]
    return [] if most >= _LEAST else too_few(most, _LEAST)


def _cuts(recording: Recording, stream: str, factor: float) -> bool:
    """Clipping was active nearly always, at a limit that is tiny in true units."""
    norms = recording.series(signals.CLIP_NORM, stream).values
    limits = recording.series(signals.CLIP_LIMIT, stream).values
    size = min(len(norms), len(limits))
    if size < _LEAST or not float(np.median(limits)) / factor < _CUT:
        return False
    return bool(np.mean(norms[:size] > limits[:size]) >= _SHARE)


def _finding(recording: Recording, stream: str, moment: str, factor: float) -> Finding:
    label = f"{stream}/{moment}"
    evidence = Evidence(
        text=_EVIDENCE(factor=factor, count=int(values(recording, signals.SCALE_LEFT, label).size)),
        signal=signals.SCALE_LEFT.name,
        label=label,
        value=factor,
        expected=_EXPECTED(),
    )
    return RULE.finding(
        title=_TITLES[moment](factor=factor),
        confidence=0.95,
        evidence=(evidence,),
        remedy=_REMEDIES[moment](),
        where=line_of(recording, stream, "optimizer" if moment == "step" else "anatomy"),
    )


RULE = Rule(
    code="loss-scale-misused",
    severity="error",
    title=Text(en="The loss scale is not taken out", zh="损失缩放因子未被除去"),
    judge=judge,
    needs=(signals.LOSS, signals.SCALE_LEFT),
    consequences=(
        "clip-has-no-effect",
        "diverging-loss",
        "exploding-gradient",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "non-finite",
        "oscillating-loss",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """``optimizer.step()`` in place of ``scaler.step(optimizer)``; Adam hides it from the loss."""
    series = {(signals.SCALE_LEFT, "0/step"): every(1, 32, 65536.0)}
    return record(falling(), series=series, events=[optimizer()])


def healthy() -> Recording:
    """A limit that is multiplied by the scale: clipping comes first, and means the same."""
    series = {
        (signals.SCALE_LEFT, "0/step"): every(1, 32, 1.0),
        (signals.SCALE_LEFT, "0/clip"): every(1, 32, 65536.0),
        (signals.CLIP_NORM, "0"): every(1, 600, 3.0 * 65536),
        (signals.CLIP_LIMIT, "0"): every(1, 600, 65536.0),
    }
    return record(falling(), series=series, events=[optimizer()])
