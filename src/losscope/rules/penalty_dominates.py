"""``penalty-dominates``: a regulariser in the loss rules the training, and the data do not get a word in.

**What it says.** A penalty on the parameters is so heavy that it shrinks the weights to almost nothing and the model
answers with a constant, or that it holds the model close to chance. Or the divergence of a variational autoencoder
counts so much more than the reconstruction that the code carries no information.

**Statistic.** *Collapse* (error): the terms that judge predictions are at chance (the interval of their skill), the
penalty has fallen to what weights of a third of their size would have, and until then cos(g, θ) > 0.5: most of the
gradient pointed to smaller weights. *Held down* (warning): the skill stays below a quarter, and the data's radial gain
−⟨g, θ⟩ + k·c·R (Euler's identity for a penalty c·R of degree k, no further gradient is needed) is larger than all that
was learnt: weights that are a factor e larger would more than double it. *No information* (warning): the
divergence ends below 0.01 nats per sample, which bounds the mutual information of input and code, and one nat of it
counts more than twice as much as one unit of the reconstruction of a whole sample.

**Source.** Euler's theorem on homogeneous functions. I(x; z) ≤ E KL(q(z|x)‖p(z)): Alemi et al. (2018),
arXiv:1711.00464. The weight β of the divergence: Higgins et al. (2017), OpenReview Sy2fzU9gl.

**Example.** ``loss = F.cross_entropy(z, y) + 0.1 * sum(p.abs().sum() for p in model.parameters())``: every weight goes
to zero, the loss to ln C. ``F.mse_loss(x_hat, x) + kl.sum()``: a mean over all pixels beside a sum over the batch.

**Remedy.** Divide the weight of the penalty by 10 to 100. For an autoencoder sum the reconstruction over the elements
of a sample and average both terms over the batch.

**False alarms.** Silent on sparse models that still fit, on ridge regression that explains a quarter or more, on
β-VAEs whose code is used, on a warm-up of the divergence that has not ended, and on weights that shrink while the
loss falls.
"""

import math

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
_SHRUNK, _MOSTLY, _LITTLE, _NATS, _OVERWEIGHT, _LEAST = 1 / 3, 0.5, 0.25, 0.01, 2.0, 5
_COLLAPSE = Text(
    en="The penalty {weight:.3g} · {kind} rules: it fell from {first} to {last}, and the model is at chance",
    zh="惩罚项 {weight:.3g} · {kind} 占主导：它从 {first} 降到 {last}，而模型停留在随机水平",
)
_HELD = Text(
    en="The penalty {weight:.3g} · {kind} holds the model close to chance",
    zh="惩罚项 {weight:.3g} · {kind} 使模型停留在随机水平附近",
)
_SILENT = Text(
    en="The divergence counts {weight:.3g} times as much as the reconstruction of a sample: the code says nothing",
    zh="散度的权重是单个样本重建误差的 {weight:.3g} 倍：编码不含任何信息",
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
_INFORMATION = Text(
    en="the divergence is {nats:.2g} nats per sample at the end, and the code cannot tell more about the input",
    zh="最后散度为每样本 {nats:.2g} nats，编码所含的输入信息不会更多",
)
_EXPECTED = Text(en="a penalty that is small beside the loss", zh="惩罚项相对损失较小")
_EXPECTED_CODE = Text(en="a few nats", zh="若干 nats")
_REMEDY = Text(
    en="Use a smaller weight for the penalty: {new:.0e} in place of {old:.2g}.",
    zh="减小惩罚项的权重：用 {new:.0e} 代替 {old:.2g}。",
)
_REMEDY_CODE = Text(
    en="Sum the reconstruction over the elements of a sample: loss = (mse_loss(x_hat, x, reduction='sum') + "
    "kl.sum()) / len(x), or weigh the divergence with {factor:.1g} of what it has now.",
    zh="把重建误差对每个样本的元素求和：loss = (mse_loss(x_hat, x, reduction='sum') + kl.sum()) / len(x)，"
    "或把散度的权重改为现在的 {factor:.1g} 倍。",
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
        if term.coefficient <= 0 or term.values.size < _LEAST:
            continue
        found = _no_information(term, data) if term.kind == "gaussian_kl" else None
        if term.kind in _DEGREE:
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


def _no_information(term: TermView, data: list[TermView]) -> Finding | None:
    """Nats per sample of the divergence, and how much one counts beside the error of a whole sample."""
    shape = term.prediction.get("shape") or ()
    per_sample, weight = _of_a_sample(term, shape)
    recent = term.recent()
    others = [_of_a_sample(t, t.prediction.get("shape") or ())[1] for t in data]
    if recent.size == 0 or not weight or not all(others):
        return None
    nats, ratio = per_sample * float(np.median(recent)), weight / max(others)
    if not 0 <= nats < _NATS or not ratio > _OVERWEIGHT:
        return None
    evidence = Evidence(
        text=_INFORMATION(nats=nats),
        signal=signals.TERM_VALUE.name,
        label=term.label,
        value=nats,
        expected=_EXPECTED_CODE(),
    )
    return RULE.finding(
        title=_SILENT(weight=ratio),
        severity="warning",
        confidence=0.85,
        evidence=(evidence,),
        remedy=_REMEDY_CODE(factor=1 / ratio),
        where=term.where,
    )


def _of_a_sample(term: TermView, shape: list[int] | tuple[int, ...]) -> tuple[float, float]:
    """What one sample's sum over its elements is in units of the value, and what it is multiplied by in the loss."""
    if not shape or min(shape) < 1:
        return 0.0, 0.0
    samples, elements = shape[0], math.prod(shape[1:])
    per_sample = {"sum": 1 / samples, "batchmean": 1.0, "mean": float(elements)}.get(term.reduction, 0.0)
    return per_sample, term.coefficient / per_sample if per_sample else 0.0


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
