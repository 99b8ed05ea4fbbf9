"""``precision-overflow``: numbers leave the range of float16, and that is where NaN or skipped updates come from.

**What it says.** The first number that is not finite was made in float16 by an operation that is harmless in float32,
or float16 weights became NaN; or the loss scale of ``GradScaler`` has sunk below 1 and goes on sinking, since every
gradient overflows: all those updates are skipped.

**Statistic.** None: exact. *Origin*: walking back from the loss, the first tensor that is not finite has dtype float16
and comes from finite operands of an operation without a pole (no logarithm, no quotient), and the losses stay
non-finite. *Scale*: every halving is an update that was skipped; reported where the scale ends below 1, ten halvings
or more after its largest value, the last change downwards. A scale is there to lift small gradients: below 1 there is
nothing to lift.

**Source.** Micikevicius et al. (2018), *Mixed Precision Training*, arXiv:1710.03740; IEEE 754-2019: the largest
float16 is 65,504, that of bfloat16 3.4·10³⁸.

**Example.** ``model.half()`` with inputs in the thousands; a summed loss of 100,000 under
``torch.autocast(…, dtype=torch.float16)``; Adam with eps 1e-8, which is 0 in float16.

**Remedy.** Use ``torch.autocast(…, dtype=torch.bfloat16)``, or keep the named operation and the loss in float32.

**False alarms.** Silent on the first skipped steps, by which ``GradScaler`` finds its scale, on single skipped steps
later, on bfloat16, and on losses that are finite again afterwards.
"""

from typing import Any

import numpy as np

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PLACE, falling, optimizer, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import line_of, streams, where

_HALVINGS = 10
_RECOVERED_AFTER = 10
_TITLE = Text(
    en="Numbers overflow in float16 at update {step}: {origin}",
    zh="第 {step} 次更新时数值超出 float16 的范围：{origin}",
)
_TITLE_WEIGHTS = Text(
    en="Weights in float16 became NaN or infinite by update {step}: {origin}",
    zh="到第 {step} 次更新时，float16 权重变为 NaN 或无穷大：{origin}",
)
_TITLE_SCALE = Text(
    en="Gradients overflow at every loss scale: {count} updates were skipped, the scale sank to {last:.2g}",
    zh="任何损失缩放下梯度都溢出：跳过了 {count} 次更新，缩放因子降到 {last:.2g}",
)
_EVIDENCE = Text(
    en="the first number that is not finite is of type float16: {origin}",
    zh="第一个非有限数的类型为 float16：{origin}",
)
_SCALE = Text(
    en="loss scale: {first:.4g} at its largest, {last:.2g} after {backwards} scaled backward passes",
    zh="损失缩放因子：最大为 {first:.4g}，{backwards} 次缩放反向传播后为 {last:.2g}",
)
_EXPECTED = Text(en="at most 65504", zh="不超过 65504")
_EXPECTED_SCALE = Text(en="a scale that settles above 1", zh="缩放因子稳定在 1 以上")
_REMEDY = Text(
    en="Use torch.autocast(device, dtype=torch.bfloat16), or compute this operation in float32: x.float(); keep the "
    "weights in float32 and use GradScaler.",
    zh="使用 torch.autocast(device, dtype=torch.bfloat16)，或用 float32 计算该运算：x.float()；权重保持 float32 并使用 "
    "GradScaler。",
)
_REMEDY_SCALE = Text(
    en="Look for what is not finite in the forward pass, compute the loss in float32 with a mean in place of a sum, or "
    "use torch.autocast(device, dtype=torch.bfloat16) without GradScaler.",
    zh="检查前向计算中的非有限数，用 float32 计算损失并用平均代替求和，或改用 torch.autocast(device, "
    "dtype=torch.bfloat16) 而不使用 GradScaler。",
)


def judge(recording: Recording) -> Outcome:
    finding = _origin(recording) or _sunken_scale(recording)
    return [finding] if finding else []


def _origin(recording: Recording) -> Finding | None:
    told = [e for e in recording.events_of("non-finite") if e.get("overflow")]
    if not told:
        return None
    event = told[0]
    stream, step = str(event.get("stream", "0")), int(event.get("step") or 0)
    loss = recording.series(signals.LOSS, stream)
    bad = loss.steps[~np.isfinite(loss.values)]
    last_bad = max(step, int(bad[-1]) if len(bad) else step)
    if int(np.count_nonzero(np.isfinite(loss.values[loss.steps > last_bad]))) >= _RECOVERED_AFTER:
        return None
    origin = str(event.get("origin") or "")
    evidence = Evidence(
        text=_EVIDENCE(origin=origin),
        signal=signals.LOSS.name,
        label=stream,
        value=65504.0,
        expected=_EXPECTED(),
        steps=(step,),
    )
    title = _TITLE_WEIGHTS if event.get("what") == "parameter" else _TITLE
    return RULE.finding(
        title=title(step=step, origin=origin),
        confidence=0.95,
        evidence=(evidence,),
        remedy=_REMEDY(),
        where=where(event),
    )


def _sunken_scale(recording: Recording) -> Finding | None:
    for label in recording.labels(signals.LOSS_SCALE):
        series = recording.series(signals.LOSS_SCALE, label)
        if len(series) < 2:
            continue
        scales: Any = series.values
        largest, last = float(scales.max()), float(scales[-1])
        if not 0 <= last < min(1.0, float(scales[-2])) or largest < last * 2.0**_HALVINGS:
            continue
        count = round(float(np.log2(largest / max(last, 2.0**-149))))
        evidence = Evidence(
            text=_SCALE(first=largest, last=last, backwards=int(series.steps[-1]) + 1),
            signal=signals.LOSS_SCALE.name,
            label=label,
            value=last,
            expected=_EXPECTED_SCALE(),
        )
        stream = next(iter(streams(recording)), "0")
        return RULE.finding(
            title=_TITLE_SCALE(count=count, last=last),
            confidence=0.9,
            evidence=(evidence,),
            remedy=_REMEDY_SCALE(),
            where=line_of(recording, stream, "anatomy"),
        )
    return None


RULE = Rule(
    code="precision-overflow",
    severity="error",
    title=Text(en="Numbers overflow in float16", zh="数值超出 float16 的范围"),
    judge=judge,
    consequences=("exploding-gradient", "learning-rate-too-high", "loss-at-chance", "non-finite"),
)


def broken() -> Recording:
    """A matrix product in float16 overflows at update 320, and so does every one after it."""
    loss = falling()
    loss[320:] = np.nan
    event = {
        "kind": "non-finite",
        "stream": "0",
        "step": 320,
        "what": "loss",
        "overflow": True,
        "origin": "Addmm [32,64] made 3 inf of 2048, near fc2.weight",
        "where": PLACE,
    }
    return record(loss, events=[optimizer(), event])


def healthy() -> Recording:
    """The scale is halved three times until it fits, and grows and is halved again later."""
    scale = np.array([65536.0, 32768.0, 16384.0, 8192.0, 16384.0, 8192.0])
    steps = np.array([0, 1, 2, 3, 320, 321])
    return record(falling(), series={(signals.LOSS_SCALE, "0"): (steps, scale)}, events=[optimizer()])
