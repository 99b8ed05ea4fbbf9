"""``clip-has-no-effect``: gradients are clipped, but not those that the update uses.

**What it says.** The clipping call comes before the backward pass or after the update, clips parameters that no
optimiser holds, or clips gradients that still hold the factor of a loss scaler.

**Statistic.** At nine of ten calls or more, of at least twenty: no gradient had been touched since the update
before (its tensor and version are the same, or it is gone), or the norm that was found is exactly zero while the
gradients of the updates are not; or none of the parameters is in an optimiser; or the scaler had not unscaled.

**Source.** ``torch.nn.utils.clip_grad_norm_`` changes ``.grad`` in place, once. Scaled gradients:
docs.pytorch.org/docs/stable/notes/amp_examples.html, "Gradient clipping".

**Example.** ``optimizer.zero_grad(); clip_grad_norm_(model.parameters(), 1.0); loss.backward(); optimizer.step()``.

**Remedy.** Clip between ``loss.backward()`` and ``optimizer.step()``, with a ``GradScaler`` after
``scaler.unscale_(optimizer)``.

**False alarms.** Silent on clipping in the right place however often it acts, on clipping after each of several
accumulated passes, on several optimisers, and where a second call is in order.
"""

import numpy as np

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PLACE, every, falling, optimizer, record
from losscope.rules.reasons import too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import events_of, main_stream, streams, values, where

_MIN, _SHARE = 20, 0.9
_UNUSED, _FOREIGN, _SCALED = 1.0, 2.0, 3.0
_TITLES = {
    _UNUSED: Text(
        en="Clipping has no effect: it is not called between the backward pass and the update",
        zh="梯度裁剪无效：它没有在反向传播与更新之间调用",
    ),
    _FOREIGN: Text(
        en="Clipping has no effect: no optimiser holds the parameters that are clipped",
        zh="梯度裁剪无效：被裁剪的参数不属于任何优化器",
    ),
    _SCALED: Text(
        en="Clipping acts on gradients that still hold the factor of the loss scaler",
        zh="梯度裁剪作用在仍带有损失缩放因子的梯度上",
    ),
}
_EVIDENCE = Text(
    en="so at {bad} of {total} calls that were looked at", zh="检查的 {total} 次调用中有 {bad} 次如此"
)
_EXPECTED = Text(
    en="0: clipping changes the gradient that the update uses", zh="0：裁剪应作用于更新所用的梯度"
)
_REMEDIES = {
    _UNUSED: Text(
        en="Call clip_grad_norm_ after loss.backward() and before optimizer.step().",
        zh="在 loss.backward() 之后、optimizer.step() 之前调用 clip_grad_norm_。",
    ),
    _FOREIGN: Text(
        en="Clip the parameters that the optimiser holds: clip_grad_norm_(model.parameters(), 1.0).",
        zh="裁剪优化器持有的参数：clip_grad_norm_(model.parameters(), 1.0)。",
    ),
    _SCALED: Text(
        en="Call scaler.unscale_(optimizer) before clip_grad_norm_.",
        zh="在 clip_grad_norm_ 之前调用 scaler.unscale_(optimizer)。",
    ),
}


def judge(recording: Recording) -> Outcome:
    most = 0
    for stream in streams(recording) or [main_stream(recording) or "0"]:
        states = values(recording, signals.CLIP_STATE, stream)
        most = max(most, states.size)
        if states.size < _MIN:
            continue
        reason, share = _reason(recording, stream, states)
        if share < _SHARE:
            continue
        evidence = Evidence(
            text=_EVIDENCE(bad=round(share * states.size), total=states.size),
            signal=signals.CLIP_STATE.name,
            label=stream,
            value=share,
            expected=_EXPECTED(),
        )
        told = (where(e) for e in events_of(recording, "clip") if reason in (e.get("state"), 0.0))
        return [
            RULE.finding(
                title=_TITLES[reason](),
                confidence=0.95,
                evidence=(evidence,),
                remedy=_REMEDIES[reason](),
                where=next(told, None),
            )
        ]
    return [] if most >= _MIN else too_few(most, _MIN)


def _reason(recording: Recording, stream: str, states: Floats) -> tuple[float, float]:
    """The most frequent fault and its share of the calls."""
    shares = {reason: float(np.mean(states == reason)) for reason in _TITLES}
    norms = values(recording, signals.CLIP_NORM, stream)
    used = values(recording, signals.GRADIENT_NORM, stream)
    if norms.size >= _MIN and used.size and np.median(used) > 0:
        shares[_UNUSED] = max(shares[_UNUSED], float(np.mean(norms == 0)))
    reason = max(shares, key=lambda r: shares[r])
    return reason, shares[reason]


RULE = Rule(
    code="clip-has-no-effect",
    severity="warning",
    title=Text(en="Clipping has no effect", zh="梯度裁剪无效"),
    judge=judge,
    needs=(signals.LOSS, signals.CLIP_STATE),
    consequences=(
        "clipping-dominates",
        "diverging-loss",
        "exploding-gradient",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "non-finite",
        "plateau-above-floor",
    ),
)


def broken() -> Recording:
    """The call comes before the backward pass: gradients are untouched since the last update."""
    return record(
        falling(),
        series={(signals.CLIP_STATE, "0"): every(1, 600, _UNUSED)},
        events=[optimizer(), {"kind": "clip", "state": _UNUSED, "where": PLACE}],
    )


def healthy() -> Recording:
    """Clipping in its place that acts on every update."""
    series = {
        (signals.CLIP_STATE, "0"): every(1, 600, 0.0),
        (signals.CLIP_NORM, "0"): every(1, 600, 7.0),
        (signals.CLIP_LIMIT, "0"): every(1, 600, 1.0),
        (signals.GRADIENT_NORM, "0"): every(20, 600, 1.0),
    }
    return record(falling(), series=series, events=[optimizer()])
