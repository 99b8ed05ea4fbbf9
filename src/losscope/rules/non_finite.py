"""``non-finite``: a loss, gradient or parameter became NaN or infinite.

**What it says.** From the named update on, numbers are NaN or infinite. The finding names the first update
and the first place: operation, layer or parameter. Everything computed after it is meaningless.

**Statistic.** None: exact. The first event of kind "non-finite", or, where the watch took no deep sample
there, the first loss that is not a finite number. Its chain (parameter, loss or gradient first) is in the
evidence.

**Source.** IEEE 754-2019; Goldberg (1991), doi:10.1145/103162.103163.

**Example.** ``torch.log(softmax(x))`` with a probability that underflows to 0: the loss is ``inf``, its
gradient NaN, and after the next update so are all parameters.

**Remedy.** Repair the named operation: ``log_softmax`` instead of ``log(softmax)``, a small ``eps`` under a
root or a quotient, a lower learning rate where the values overflow.

**False alarms.** Overflowing *gradients* under a ``GradScaler`` are part of its search for a scale: the
update is skipped, and the rule is silent while the losses stay finite. A single loss that is not finite and
after which training goes on with finite values is a warning, not an error.
"""

from typing import Any

import numpy as np

from losscope.core.finding import Evidence, Finding, Severity
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PLACE, every, falling, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import streams, where

_RECOVERED_AFTER = 10
_WORDS = {
    "loss": Text(en="the loss", zh="损失"),
    "gradient": Text(en="the gradient", zh="梯度"),
    "parameter": Text(en="a parameter", zh="参数"),
}
_TITLES = {
    what: Text(
        en=f"{word.en[0].upper()}{word.en[1:]} is NaN or infinite from update {{step}} on{{origin}}",
        zh=f"从第 {{step}} 次更新起，{word.zh}为 NaN 或无穷大{{origin}}",
    )
    for what, word in _WORDS.items()
}
_COUNT = Text(
    en="{bad} of {total} losses are NaN or infinite, the first at update {step}",
    zh="{total} 个损失值中有 {bad} 个为 NaN 或无穷，首次出现在第 {step} 次更新",
)
_EVENTS = {
    what: Text(
        en=f"update {{step}}: {word.en} is not finite{{origin}}",
        zh=f"第 {{step}} 次更新：{word.zh}不是有限数{{origin}}",
    )
    for what, word in _WORDS.items()
}
_LAST_GOOD = Text(
    en="the last finite loss, at update {step}, was {value:.4g}",
    zh="最后一个有限的损失值出现在第 {step} 次更新，为 {value:.4g}",
)
_FINITE = Text(en="finite numbers throughout", zh="始终为有限数")
_REMEDY = Text(
    en="Make the first bad operation safe{origin}: log_softmax instead of log(softmax), torch.sqrt(x + 1e-12), "
    "a denominator that cannot be 0; if the values overflow, divide the learning rate by 10.",
    zh="先修复最早出错的运算{origin}：用 log_softmax 代替 log(softmax)，用 torch.sqrt(x + 1e-12)，避免分母为 0；"
    "若数值溢出，则把学习率除以 10。",
)


def judge(recording: Recording) -> Outcome:
    findings = [f for stream in streams(recording) if (f := _judge_stream(recording, stream))]
    return findings[:1]


def _judge_stream(recording: Recording, stream: str) -> Finding | None:
    loss = recording.series(signals.LOSS, stream)
    bad = ~np.isfinite(loss.values)
    scaled = bool(recording.labels(signals.LOSS_SCALE))
    told = sorted(recording.events_of("non-finite"), key=_step)
    if scaled and not bad[-3:].any():
        told = [event for event in told if event.get("what") != "gradient"]
    if not bad.any() and not told:
        return None
    last_bad = max([*map(_step, told), *(int(s) for s in loss.steps[bad][-1:])])
    after = int(np.count_nonzero(np.isfinite(loss.values[loss.steps > last_bad])))
    severity: Severity = "warning" if after >= _RECOVERED_AFTER else "error"
    first_seen = int(loss.steps[bad][0]) if bad.any() else _step(told[0])
    first = told[0] if told and _step(told[0]) <= first_seen else {"what": "loss", "step": first_seen}
    origin = str(first.get("origin") or "")
    if not origin and told:
        origin = str(told[0].get("origin") or "")
    step = _step(first)
    return RULE.finding(
        title=_TITLES[_what(first)](step=step, origin=f": {origin}" if origin else ""),
        severity=severity,
        confidence=1.0 if severity == "error" else 0.9,
        evidence=_evidence(recording, stream, told, bad, step),
        remedy=_REMEDY(origin=f" ({origin})" if origin else ""),
        where=next((place for event in told if (place := where(event))), None),
    )


def _evidence(
    recording: Recording, stream: str, told: list[dict[str, Any]], bad: Any, step: int
) -> tuple[Evidence, ...]:
    loss = recording.series(signals.LOSS, stream)
    texts: list[tuple[Message, str, float, int]] = []
    if bad.any():
        first_bad = int(loss.steps[bad][0])
        count = int(np.count_nonzero(bad))
        text = _COUNT(bad=count, total=len(bad), step=first_bad)
        texts.append((text, signals.LOSS.name, float(count), first_bad))
    for event in told[:3]:
        origin = str(event.get("origin") or "")
        text = _EVENTS[_what(event)](step=_step(event), origin=f" ({origin})" if origin else "")
        texts.append((text, signals.LOSS.name, float("nan"), _step(event)))
    good = np.isfinite(loss.values) & (loss.steps <= step)
    if good.any():
        at, value = int(loss.steps[good][-1]), float(loss.values[good][-1])
        texts.append((_LAST_GOOD(step=at, value=value), signals.LOSS.name, value, at))
    return tuple(
        Evidence(text=text, signal=name, label=stream, value=value, expected=_FINITE(), steps=(at,))
        for text, name, value, at in texts
    )


def _step(event: dict[str, Any]) -> int:
    return int(event.get("step") or 0)


def _what(event: dict[str, Any]) -> str:
    what = str(event.get("what"))
    return what if what in _TITLES else "loss"


RULE = Rule(
    code="non-finite",
    severity="error",
    title=Text(en="Numbers are NaN or infinite", zh="出现 NaN 或无穷大"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("loss-at-chance", "plateau-above-floor", "vanishing-gradient"),
)


def broken() -> Recording:
    """A loss that becomes NaN at update 320 because a logarithm saw zero."""
    loss = falling()
    loss[320:] = np.nan
    event = {
        "kind": "non-finite",
        "stream": "0",
        "step": 320,
        "what": "loss",
        "origin": "LogBackward0 below fc2.weight",
        "where": PLACE,
    }
    return record(loss, events=[event])


def healthy() -> Recording:
    """Mixed precision: the scaler overflows the gradient twice while it searches for its scale."""
    events = [
        {"kind": "non-finite", "stream": "0", "step": step, "what": "gradient", "origin": "fc1.weight"}
        for step in (0, 1)
    ]
    scale = {(signals.LOSS_SCALE, "0"): every(200, 600, [65536.0, 16384.0, 16384.0])}
    return record(falling(), events=events, series=scale)
