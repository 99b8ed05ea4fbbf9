"""``exploding-gradient``: the gradient grows out of bounds, and training breaks down.

**What it says.** Either the gradient norm grew a thousandfold during the run, or it grows from layer to layer
towards the input so much that the first layers' updates destroy the model.

**Statistic.** Only where training has broken down (loss not finite, risen for good, or at chance). *Growth*: the
largest gradient norm is 1000 times the median of the first quarter of the samples. *Profile*: ‖g‖/‖θ‖ in the
first quarter of the layers is 1000 times that in the last quarter, with a rank correlation with depth of at most
−0.6. The norms found by ``clip_grad_norm_`` are used where the script clips. Both are free of scale.

**Source.** Pascanu et al. (2013), arXiv:1211.5063; Bengio et al. (1994), doi:10.1109/72.279181.

**Example.** A recurrent network over 200 time steps whose recurrent matrix has a spectral norm of 1.2:
1.2²⁰⁰ ≈ 10¹⁵.

**Remedy.** Clip the norm before the update, and check initialisation and learning rate.

**False alarms.** Silent on every run that learns, with whatever spikes; clipping that is always active is no
fault.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import learning_deficit
from losscope.rules.layer_profile import FACTOR, MONOTONE, layer_profile
from losscope.rules.planted import every, falling, normal, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream, values

_TITLE_GROWTH = Text(
    en="The gradient explodes: its norm grew from {early:.2g} to {most:.2g}",
    zh="梯度爆炸：其范数从 {early:.2g} 增长到 {most:.2g}",
)
_TITLE_PROFILE = Text(
    en="The gradient explodes towards {first}: {factor:.1g} times the last layer's",
    zh="梯度向 {first} 方向爆炸：是最后一层的 {factor:.1g} 倍",
)
_GROWTH = Text(
    en="gradient norm: median {early:.2g} in the first quarter of the samples, at most {most:.2g}",
    zh="梯度范数：前四分之一样本的中位数为 {early:.2g}，最大为 {most:.2g}",
)
_PROFILE = Text(
    en="‖g‖/‖θ‖ is {first:.2g} at {first_name} and {last:.2g} at {last_name}",
    zh="‖g‖/‖θ‖ 在 {first_name} 为 {first:.2g}，在 {last_name} 为 {last:.2g}",
)
_EXPECTED = Text(en="within a factor of {factor:.0f}", zh="相差不超过 {factor:.0f} 倍")
_REMEDY = Text(
    en="Clip before every update: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0); if that does not "
    "help, divide the learning rate by 10.",
    zh="每次更新前裁剪：torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)；若无效，则把学习率除以 10。",
)


def judge(recording: Recording) -> Outcome:
    deficit = learning_deficit(recording)
    if isinstance(deficit, NotJudged):
        return deficit
    if deficit is None or deficit == "no-fall":
        return []
    stream = main_stream(recording) or "0"
    found = _growth(recording, stream) or _profile(recording, stream)
    return [found] if found else []


def _growth(recording: Recording, stream: str) -> Finding | None:
    clipped = values(recording, signals.CLIP_NORM, stream)
    signal = signals.CLIP_NORM if clipped.size else signals.GRADIENT_NORM
    norms = clipped if clipped.size else values(recording, signals.GRADIENT_NORM, stream)
    if norms.size < 4:
        return None
    early, most = float(np.median(norms[: max(1, norms.size // 4)])), float(norms.max())
    if not most > FACTOR * early:
        return None
    evidence = Evidence(
        text=_GROWTH(early=early, most=most),
        signal=signal.name,
        label=stream,
        value=most,
        expected=_EXPECTED(factor=FACTOR),
    )
    title = _TITLE_GROWTH(early=early, most=most)
    return RULE.finding(title=title, confidence=0.85, evidence=(evidence,), remedy=_REMEDY())


def _profile(recording: Recording, stream: str) -> Finding | None:
    profile = layer_profile(recording, stream)
    if profile is None or not profile.first_over_last > FACTOR or profile.rank_correlation > -MONOTONE:
        return None
    first, last = float(profile.relative[0]), float(profile.relative[-1])
    evidence = Evidence(
        text=_PROFILE(first=first, first_name=profile.names[0], last=last, last_name=profile.names[-1]),
        signal=signals.GRADIENT_NORM_PARAMETER.name,
        label=profile.names[0],
        value=profile.first_over_last,
        expected=_EXPECTED(factor=FACTOR),
    )
    title = _TITLE_PROFILE(first=profile.names[0], factor=profile.first_over_last)
    return RULE.finding(title=title, confidence=0.85, evidence=(evidence,), remedy=_REMEDY())


RULE = Rule(
    code="exploding-gradient",
    severity="error",
    title=Text(en="The gradient explodes", zh="梯度爆炸"),
    judge=judge,
    needs=(signals.LOSS, signals.GRADIENT_NORM),
    consequences=("diverging-loss", "loss-at-chance", "non-finite", "plateau-above-floor"),
)


def broken() -> Recording:
    """The gradient norm grows by a factor of a million, and with it the loss."""
    loss = falling(600)
    loss[300:] = loss[299] * np.exp(np.arange(300) / 40) * np.exp(0.1 * normal(300, 1))
    norms = np.where(np.arange(30) < 15, 1.0, np.exp(np.arange(30) - 14.0))
    return record(loss, series={(signals.GRADIENT_NORM, "0"): every(20, 600, norms)})


def healthy() -> Recording:
    """Rare spikes of the gradient that clipping catches, in a run that learns."""
    norms = np.ones(600)
    norms[::97] = 5000.0
    clip = {(signals.CLIP_NORM, "0"): every(1, 600, norms), (signals.GRADIENT_NORM, "0"): every(20, 600, 1.0)}
    return record(falling(), series=clip)
