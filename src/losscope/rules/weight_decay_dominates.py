"""``weight-decay-dominates``: weight decay takes back what the gradient gives.

**What it says.** Either the decay has shrunk the weights to almost nothing and the model answers with a constant; or
in every update the decay cancels the gradient's step while the loss would fall if the weights were larger.

**Statistic.** *Collapse* (error): no learning, and the norm of the decayed parameters fell to a third of its start or
below, and the decay alone explains that: Σ ηλ ≥ 1 over the run or, where an adaptive optimiser divides it by its
own estimate, λ‖θ‖ exceeded the gradient's norm. *Held down* (warning), where chance is known and the loss
lies above its floor by a tenth of chance − floor: the decay's part of an update, ηλ‖θ‖, exceeds the whole update
‖Δθ‖ (median of the last half; where the optimiser scales it: λ‖θ‖² is over half of the radial gain), Σ ηλ ≥ 1, and
the lower 95 % bound of the radial gain −⟨g, θ⟩ = −dL/d ln‖θ‖ is above a tenth of chance − floor.

**Source.** A stationary point of L + λ/2·‖θ‖² has −⟨∇L, θ⟩ = λ‖θ‖²; decoupled decay forgets over 1/(ηλ) updates:
Loshchilov and Hutter (2019), arXiv:1711.05101; Wang and Aitchison (2024), arXiv:2405.13698.

**Example.** ``AdamW(model.parameters(), lr=1e-3, weight_decay=10)`` on the digits: the loss stays at 0.80, with
0.01 at 0.005. ``Adam(..., weight_decay=0.1)``: every weight goes to zero and the loss to ln 10.

**Remedy.** Use a weight decay of 0.01 to 0.1 (AdamW) or 10⁻⁵ to 5·10⁻⁴ (SGD, Adam).

**False alarms.** Silent on ordinary decay, whose part of an update stays far below one; on decayed weights behind a
normalisation, whose radial gain is zero; on pruning and on weights that shrink without decay; on strong decay that
the model copes with (grokking, ridge regression near its floor); while the loss has not been given time (Σ ηλ < 1).
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.curve import last_level
from losscope.rules.decay import Decay, decay_of, radial_gain
from losscope.rules.deficit import learning_deficit
from losscope.rules.numbers import readable
from losscope.rules.planted import PARAMETERS, TEN_CLASSES, Planted, every, falling, flat, optimizer, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.batch_means import mean
from losscope.rules.streams import events_of, line_of, losses, main_stream
from losscope.rules.terms import natural_scale, terms

_SHRUNK, _TIME, _SHARE, _ABOVE = 1 / 3, 1.0, 1.0, 0.1
_COLLAPSE = Text(
    en="Weight decay {factor:g} has shrunk the weights to {percent:.2g} % of their first size",
    zh="权重衰减 {factor:g} 把权重缩小到初始大小的 {percent:.2g}%",
)
_HELD = Text(
    en="Weight decay {factor:g} takes back what the gradient gives: the loss is held at {level}",
    zh="权重衰减 {factor:g} 抵消了梯度的作用：损失被压在 {level}",
)
_NORM = Text(
    en="norm of the decayed parameters: {first:.3g} at the start, {last:.3g} at the end",
    zh="被衰减参数的范数：开始时 {first:.3g}，结束时 {last:.3g}",
)
_BALANCE = Text(
    en="the decay in one update is {share:.2g} times the update itself; weights twice as large would lower the loss "
    "at a rate of {gain:.2g} per factor e",
    zh="单次更新中衰减量是更新量本身的 {share:.2g} 倍；若权重增大，损失将以每 e 倍 {gain:.2g} 的速度下降",
)
_EXPECTED_NORM = Text(en="norms that stay or grow", zh="范数保持或增长")
_EXPECTED_SHARE = Text(en="far below 1", zh="远小于 1")
_REMEDY = Text(
    en="Set weight_decay={new:g} in place of {old:g}.",
    zh="把 weight_decay 从 {old:g} 改为 {new:g}。",
)
_USUAL = {"decoupled": 0.01, "plain": 1e-4, "scaled": 1e-5}


def judge(recording: Recording) -> Outcome:
    deficit = learning_deficit(recording)
    if isinstance(deficit, NotJudged):
        return deficit
    stream = main_stream(recording) or "0"
    if not events_of(recording, "optimizer", stream):
        return no_event("optimizer")
    decay = decay_of(recording, stream)
    if decay is None or deficit in {"non-finite", "diverged"}:
        return []
    found = _held_down(recording, stream, decay) if deficit is None else _collapse(recording, stream, decay)
    return [found] if found else []


def _collapse(recording: Recording, stream: str, decay: Decay) -> Finding | None:
    left = decay.shrinkage()
    if decay.kind == "scaled":
        does_it = bool(np.any(decay.factor * decay.norms >= decay.gradients))
    else:
        does_it = decay.exponent >= _TIME
    if left > _SHRUNK or not does_it:
        return None
    evidence = Evidence(
        text=_NORM(first=float(decay.norms[0]), last=float(np.median(decay.norms[-3:]))),
        signal=signals.PARAMETER_NORM.name,
        label=stream,
        value=left,
        expected=_EXPECTED_NORM(),
    )
    return RULE.finding(
        title=_COLLAPSE(factor=decay.factor, percent=100 * left),
        confidence=0.95,
        evidence=(evidence,),
        remedy=_REMEDY(new=_usual(decay), old=decay.factor),
        where=line_of(recording, stream, "optimizer"),
    )


def _usual(decay: Decay) -> float:
    return min(_USUAL[decay.kind], decay.factor / 10)


def _held_down(recording: Recording, stream: str, decay: Decay) -> Finding | None:
    scale, gains = natural_scale(recording, stream), radial_gain(recording, stream)
    if scale is None or gains.size < 3:
        return None
    term = terms(recording, stream)[0]
    level = last_level(losses(recording, stream))
    above = level - (term.floor or 0.0) * abs(term.coefficient)
    gain, share = mean(gains), _share(decay, float(np.median(gains)))
    enough = decay.kind == "scaled" or decay.exponent >= _TIME
    if not (enough and above > _ABOVE * scale and share > _SHARE and gain.interval(0.95)[0] > _ABOVE * scale):
        return None
    evidence = Evidence(
        text=_BALANCE(share=share, gain=gain.value),
        signal=signals.RADIAL_GAIN.name,
        label=stream,
        value=share,
        expected=_EXPECTED_SHARE(),
    )
    return RULE.finding(
        title=_HELD(factor=decay.factor, level=readable(level)),
        severity="warning",
        confidence=0.8,
        evidence=(evidence,),
        remedy=_REMEDY(new=_usual(decay), old=decay.factor),
        where=line_of(recording, stream, "optimizer"),
    )


def _share(decay: Decay, gain: float) -> float:
    """Decay over the whole update; under an adaptive optimiser twice its share of the radial balance."""
    half = decay.norms.size // 2
    if decay.kind == "scaled":
        return 2 * float(np.median(decay.factor * decay.norms[half:] ** 2)) / gain if gain > 0 else 0.0
    moved = decay.moves[half:]
    return float(np.median(decay.pulls[half:] / np.maximum(moved, 1e-300)))


RULE = Rule(
    code="weight-decay-dominates",
    severity="error",
    title=Text(en="Weight decay dominates", zh="权重衰减占主导"),
    judge=judge,
    needs=(signals.LOSS, signals.PARAMETER_NORM, signals.UPDATE_NORM_PARAMETER),
    consequences=(
        "input-has-no-effect",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def _decayed(n: int, norms: np.ndarray, decay: float, rate: float) -> tuple[Planted, dict]:
    """Layers whose norm goes through these values; each update is the change between two of them plus noise."""
    series: Planted = {}
    samples = len(range(0, n, 20))
    path = np.interp(np.arange(samples), np.linspace(0, samples - 1, len(norms)), norms)
    for name in PARAMETERS:
        series[signals.PARAMETER_NORM, name] = every(20, n, path)
        series[signals.UPDATE_NORM_PARAMETER, name] = every(20, n, np.maximum(1e-3 * path, 1e-9))
        series[signals.GRADIENT_NORM_PARAMETER, name] = every(20, n, 0.3 * path / path[0])
    series[signals.LEARNING_RATE, "0/0"] = every(n, n, rate)
    event = optimizer(rate=rate)
    event["groups"] = [{"lr": rate, "weight_decay": decay, "tensors": len(PARAMETERS)}]
    return series, event


def broken() -> Recording:
    """A decay of 0.1 under SGD with a rate of 0.1: after 600 updates e^−6 of the weights are left."""
    series, event = _decayed(600, 6.5 * np.exp(-np.linspace(0, 6, 30)), 0.1, 0.1)
    return record(flat(), terms=[TEN_CLASSES], series=series, events=[event])


def healthy() -> Recording:
    """Ordinary decay behind normalisation: the norms halve, the radial gain is zero, and the loss falls."""
    series, event = _decayed(600, np.linspace(6.5, 3.2, 30), 5e-4, 0.1)
    series[signals.RADIAL_GAIN, "0"] = every(20, 600, 0.0)
    return record(falling(end=0.4), series=series, events=[event])
