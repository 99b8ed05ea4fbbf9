"""``penalty-dominates``: a regulariser in the loss rules the training, and the data do not get a word in.

**What it says.** A penalty on the parameters is so heavy that it shrinks the weights to almost nothing and the model
answers with a constant, or that it holds the model close to chance.

**Statistic.** *Collapse* (error): the terms that judge predictions are at chance (the interval of their skill), the
penalty has fallen to what weights of a third of their size would have, and until then cos(g, θ) > 0.5: most of the
gradient pointed to smaller weights. *Held down* (warning): the skill stays below a quarter, and the data's radial gain
−⟨g, θ⟩ + k·c·R (Euler's identity for a penalty c·R of degree k, no further gradient is needed) is larger than all that
was learnt: weights that are a factor e larger would more than double it.

**Source.** Euler's theorem on homogeneous functions. A stationary point of L + c·R has −⟨∇L, θ⟩ = k·c·R.

**Example.** ``loss = F.cross_entropy(z, y) + 0.1 * sum(p.abs().sum() for p in model.parameters())``: every weight goes
to zero, the loss to ln C.

**Remedy.** Divide the weight of the penalty by 10 to 100.

**False alarms.** Silent on sparse models that still fit, on ridge regression that explains a quarter or more, and on
weights that shrink while the loss falls, or because labels without any signal leave nothing to learn. A divergence
that rules is ``posterior-collapse``.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.numbers import readable
from losscope.rules.planted import TEN_CLASSES, Planted, PlantedTerm, every, flat, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.batch_means import mean
from losscope.rules.statistics.robust import finite
from losscope.rules.streams import progress, values
from losscope.rules.terms import TermView, terms

_DEGREE = {"l1_penalty": 1, "l2_penalty": 2, "norm_penalty": 1}
_SHRUNK, _MOSTLY, _LITTLE, _LEAST = 1 / 3, 0.5, 0.25, 5
_COLLAPSE = Text(
    en="The penalty {weight:.3g} · {kind} rules: it fell from {first} to {last}, and the model is at chance",
    zh="惩罚项 {weight:.3g} · {kind} 占主导：它从 {first} 降到 {last}，而模型停留在随机水平",
)
_HELD = Text(
    en="The penalty {weight:.3g} · {kind} holds the model close to chance",
    zh="惩罚项 {weight:.3g} · {kind} 使模型停留在随机水平附近",
)
_PULL = Text(
    en="until the weights had shrunk the gradient pointed to smaller ones (cosine {cosine:.2f} with the weights); "
    "{kind} is at {loss:.4g}, chance is {chance:.4g}",
    zh="在权重缩小之前，梯度一直指向更小的权重（与权重的余弦为 {cosine:.2f}）；"
    "{kind} 为 {loss:.4g}，随机水平为 {chance:.4g}",
)
_GAIN = Text(
    en="weights that are larger would lower {kind} by {gain:.2g} per factor e; all that was learnt is {learnt:.2g}",
    zh="若权重增大，{kind} 将以每 e 倍 {gain:.2g} 的速度下降；而至今学到的总共只有 {learnt:.2g}",
)
_EXPECTED = Text(en="a penalty that is small beside the loss", zh="惩罚项相对损失较小")
_REMEDY = Text(
    en="Use a smaller weight for the penalty: {new:.0e} in place of {old:.2g}.",
    zh="减小惩罚项的权重：用 {new:.0e} 代替 {old:.2g}。",
)


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    stream = progress(recording)
    if isinstance(stream, NotJudged):
        return stream
    every = terms(recording, stream)
    data = [t for t in every if t.is_data and t.kind != "gaussian_kl" and t.coefficient > 0]
    for term in every if data else ():
        if term.kind not in _DEGREE or term.coefficient <= 0 or term.values.size < _LEAST:
            continue
        found = _collapse(recording, stream, term, data) or _held(recording, stream, term, data)
        if found is not None:
            return [found]
    return []


def _collapse(recording: Recording, stream: str, term: TermView, data: list[TermView]) -> Finding | None:
    """The weights shrank, the gradient did it, and the model is at chance."""
    skills = [s for t in data if (s := t.skill()) is not None]
    small = _SHRUNK ** _DEGREE[term.kind] * term.values[0]
    if (
        not skills
        or not all(s.at_chance() for s in skills)
        or not float(np.median(term.values[-3:])) <= small
    ):
        return None
    until = term.steps[int(np.argmax(term.values <= small))]
    cosine = _inward(recording, stream, int(until))
    if cosine is None or cosine <= _MOSTLY:
        return None
    last = skills[0]
    evidence = Evidence(
        text=_PULL(cosine=cosine, kind=data[0].kind, loss=last.loss, chance=last.chance),
        signal=signals.TERM_VALUE.name,
        label=term.label,
        value=float(term.values[-1]),
        expected=_EXPECTED(),
    )
    first, end = readable(float(term.values[0])), readable(float(term.values[-1]))
    title = _COLLAPSE(weight=term.coefficient, kind=term.kind, first=first, last=end)
    return RULE.finding(
        title=title, confidence=0.95, evidence=(evidence,), remedy=_remedy(term, 100.0), where=term.where
    )


def _inward(recording: Recording, stream: str, until: int) -> float | None:
    """Median cosine between gradient and weights up to an update: that of descent straight to zero is 1."""
    gains, norms = (recording.series(s, stream) for s in (signals.RADIAL_GAIN, signals.GRADIENT_NORM))
    weights = [
        recording.series(signals.PARAMETER_NORM, name) for name in recording.labels(signals.PARAMETER_NORM)
    ]
    kept = gains.steps <= until
    if not kept.any() or len(norms) == 0 or not weights:
        return None
    steps = gains.steps[kept]
    sizes = np.sqrt(sum(np.interp(steps, w.steps, w.values) ** 2 for w in weights))
    found = finite(
        -gains.values[kept] / np.maximum(sizes * np.interp(steps, norms.steps, norms.values), 1e-300)
    )
    return float(np.median(found)) if found.size else None


def _held(recording: Recording, stream: str, term: TermView, data: list[TermView]) -> Finding | None:
    """The data would have it larger, by more than all that they have brought so far."""
    if len(data) != 1 or (found := data[0].skill()) is None or data[0].span is None:
        return None
    gains = values(recording, signals.RADIAL_GAIN, stream)
    if found.high >= _LITTLE or gains.size < _LEAST:
        return None
    pull = _DEGREE[term.kind] * term.coefficient * float(np.median(term.recent(0.5)))
    gain = mean(gains[gains.size // 2 :])
    weight = data[0].coefficient
    learnt = max(found.high, 0.05) * data[0].span
    if not (gain.interval()[0] + pull) / weight > learnt or not pull / weight > learnt / 2:
        return None
    evidence = Evidence(
        text=_GAIN(
            kind=data[0].kind, gain=(gain.value + pull) / weight, learnt=max(found.value, 0.0) * data[0].span
        ),
        signal=signals.RADIAL_GAIN.name,
        label=stream,
        value=(gain.value + pull) / weight,
        expected=_EXPECTED(),
    )
    return RULE.finding(
        title=_HELD(weight=term.coefficient, kind=term.kind),
        severity="warning",
        confidence=0.8,
        evidence=(evidence,),
        remedy=_remedy(term, 10.0),
        where=term.where,
    )


def _remedy(term: TermView, factor: float) -> Message:
    return _REMEDY(new=term.coefficient / factor, old=term.coefficient)


RULE = Rule(
    code="penalty-dominates",
    severity="error",
    title=Text(en="A regulariser rules the training", zh="正则项主导了训练"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "clipping-dominates",
        "dead-units",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """A 1-norm with weight 0.1: every weight goes to zero, the cross-entropy to ln 10."""
    return _run(np.maximum(63 * np.exp(-np.arange(600) / 40), 0.15), 0.1, 0.8)


def healthy() -> Recording:
    """The same path of the weights, of which the loss itself made them smaller: it is far below chance."""
    return _run(np.maximum(63 * np.exp(-np.arange(600) / 40), 0.15), 1e-5, 0.8, level=0.2)


def _run(penalty: np.ndarray, weight: float, cosine: float, level: float = 2.303) -> Recording:
    loss = flat(level=level, noise=0.001)
    data = PlantedTerm(chance=TEN_CLASSES.chance, chance_error=0.001, values=loss)
    other = PlantedTerm(
        kind="l1_penalty",
        coefficient=weight,
        values=penalty,
        contract={"reduction": "sum", "task": "penalty"},
    )
    series: Planted = {
        (signals.RADIAL_GAIN, "0"): every(20, 600, -cosine),
        (signals.GRADIENT_NORM, "0"): every(20, 600, 1.0),
        (signals.PARAMETER_NORM, "layer0.weight"): every(20, 600, 1.0),
    }
    return record(loss + weight * penalty, terms=[data, other], series=series)
