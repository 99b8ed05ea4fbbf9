"""``activation-before-loss``: the model's last activation cannot give what the loss asks for.

**What it says.** A ReLU, tanh, sigmoid or softmax right before the loss bounds the outputs, and targets lie outside;
or a loss of logits gets bounded logits, so that no answer can be certain.

**Statistic.** For real targets the mean squared distance to the range of the activation by their variance: the share
1 − R² that no parameters can explain. Reported from 1 % on, as an error from 5 % on. For logits the floor follows by
arithmetic: ln(1 + (C−1)e⁻²) for cross-entropy after a tanh; ln 2 for a negative target where binary logits are never
below zero, and for a positive one where they are never above; ln(1 + e⁻¹) where they are a tanh. A ReLU before
``cross_entropy`` limits nothing but is without gradient at 0: reported only where the model does not learn.

**Source.** The ranges of the functions. Nikanjam & Khomh (2021), "Automatic fault detection for deep learning programs
using graph transformations", arXiv:2105.08095, list the activation of the last layer among the most frequent faults.

**Example.** A regression of standardised targets by a network that ends in ``nn.ReLU()``: half of the targets are
negative and cannot be reached.

**Remedy.** Remove the activation after the last layer, or scale the targets to its range.

**False alarms.** Silent where all targets can be reached, up to a little noise around a bound (counts, pixels in
[−1, 1] with a tanh), where the output of the activation is scaled or shifted (``10 * tanh(z)``), and on activations
inside a model.
"""

import math

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged, Severity
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import learning_deficit
from losscope.rules.planted import PlantedTerm, every, falling, flat, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream, streams, values
from losscope.rules.terms import TermView, terms

_LEAST, _MUCH = 0.01, 0.05
_BINARY = "binary_cross_entropy_with_logits"
_NOT_NEGATIVE = frozenset({"relu", "softplus", "exp"})
_NOT_POSITIVE = frozenset({"log_softmax", "log_sigmoid"})
_TITLE = Text(
    en="{share:.0%} of the targets lie outside the range of the {activation} before the loss",
    zh="{share:.0%} 的目标超出损失之前的 {activation} 的取值范围",
)
_TITLE_LOGITS = Text(
    en="The {activation} before {kind} bounds the logits, so that no answer can be certain",
    zh="{kind} 之前的 {activation} 限制了 logits，任何回答都无法确定",
)
_TITLE_RELU = Text(
    en="A ReLU stands before {kind}, and the model does not learn",
    zh="{kind} 之前有一个 ReLU，而模型没有在学习",
)
_EVIDENCE = Text(
    en="{ratio:.1%} of the variance of the targets cannot be explained by any parameters",
    zh="目标方差的 {ratio:.1%} 是任何参数都无法解释的",
)
_EVIDENCE_LOGITS = Text(
    en="the loss of a sample can be {floor:.4g} at best {whom}; the loss is {value:.4g}",
    zh="样本的损失最好也只有 {floor:.4g}{whom_zh}；当前损失为 {value:.4g}",
)
_EVIDENCE_RELU = Text(
    en="a logit at 0 gets no gradient through a ReLU; the loss is {value:.4g}",
    zh="值为 0 的 logit 无法通过 ReLU 得到梯度；当前损失为 {value:.4g}",
)
_EXPECTED = Text(en="targets within the range of the outputs", zh="目标位于输出的取值范围之内")
_EXPECTED_LOGITS = Text(en="logits of both signs and any size", zh="正负、大小均不受限的 logits")
_REMEDY = Text(
    en="Remove the {activation} after the last layer, or scale the targets to its range.",
    zh="去掉最后一层之后的 {activation}，或把目标缩放到它的取值范围。",
)
_REMEDY_LOGITS = Text(
    en="Remove the {activation} after the last layer: {kind} takes the layer's output as it is.",
    zh="去掉最后一层之后的 {activation}：{kind} 直接接受该层的输出。",
)
_WHOM = {
    "each": ("for each sample", ""),
    "negative": ("for a negative target", "（负样本）"),
    "positive": ("for a positive target", "（正样本）"),
}


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    for stream in streams(recording):
        for term in terms(recording, stream):
            found = _unreached(recording, term) or _bounded(recording, term) or _relu(recording, term)
            if found is not None:
                return [found]
    return []


def _unreached(recording: Recording, term: TermView) -> Finding | None:
    ratios = values(recording, signals.TARGET_BEYOND_VARIANCE, term.label)
    shares = values(recording, signals.TARGET_BEYOND, term.label)
    if ratios.size == 0 or shares.size == 0 or float(np.median(ratios)) < _LEAST:
        return None
    ratio, activation = float(np.median(ratios)), str(term.prediction.get("activation"))
    evidence = Evidence(
        text=_EVIDENCE(ratio=ratio),
        signal=signals.TARGET_BEYOND_VARIANCE.name,
        label=term.label,
        value=ratio,
        expected=_EXPECTED(),
    )
    severity: Severity = "error" if ratio >= _MUCH else "warning"
    return RULE.finding(
        title=_TITLE(share=float(np.median(shares)), activation=activation),
        severity=severity,
        confidence=0.95,
        evidence=(evidence,),
        remedy=_REMEDY(activation=activation),
        where=term.where,
    )


def _bounded(recording: Recording, term: TermView) -> Finding | None:
    floor, whom = _floor(recording, term)
    if floor is None:
        return None
    told, told_zh = _WHOM[whom]
    text = _EVIDENCE_LOGITS(floor=floor, whom=told, whom_zh=told_zh, value=_value(term))
    return _of_logits(term, _TITLE_LOGITS, Evidence(text=text, **_measured(term)), "error")


def _floor(recording: Recording, term: TermView) -> tuple[float | None, str]:
    """The least loss of a sample after this activation, and of which samples; ``None`` where nothing limits it."""
    activation, classes = term.prediction.get("activation"), term.options.get("num_classes")
    if term.kind == "cross_entropy" and activation == "tanh" and isinstance(classes, int) and classes > 1:
        return math.log1p((classes - 1) * math.exp(-2)), "each"
    if term.kind != _BINARY:
        return None, "each"
    lowest, highest = (
        values(recording, signal, term.label) for signal in (signals.TARGET_MIN, signals.TARGET_MAX)
    )
    if activation == "tanh":
        return math.log1p(math.exp(-1)), "each"
    if activation in _NOT_NEGATIVE and lowest.size and lowest.min() < 0.5:
        return math.log(2), "negative"
    if activation in _NOT_POSITIVE and highest.size and highest.max() > 0.5:
        return math.log(2), "positive"
    return None, "each"


def _relu(recording: Recording, term: TermView) -> Finding | None:
    """A warning where the main objective shows a learning deficit."""
    stream = term.label.partition("/")[0]
    if term.kind != "cross_entropy" or term.prediction.get("activation") != "relu":
        return None
    deficit = learning_deficit(recording) if stream == main_stream(recording) else None
    if deficit is None or isinstance(deficit, NotJudged) or deficit == "non-finite":
        return None
    text = _EVIDENCE_RELU(value=_value(term))
    return _of_logits(term, _TITLE_RELU, Evidence(text=text, **_measured(term)), "warning")


def _value(term: TermView) -> float:
    return float(term.values[-5:].mean()) if term.values.size else 0.0


def _measured(term: TermView) -> dict:
    return {
        "signal": signals.TERM_VALUE.name,
        "label": term.label,
        "value": _value(term),
        "expected": _EXPECTED_LOGITS(),
    }


def _of_logits(term: TermView, title: Text, evidence: Evidence, severity: Severity) -> Finding:
    activation = str(term.prediction.get("activation"))
    needed = {"kind": term.kind} if title is _TITLE_RELU else {"kind": term.kind, "activation": activation}
    return RULE.finding(
        title=title(**needed),
        severity=severity,
        confidence=0.95 if severity == "error" else 0.6,
        evidence=(evidence,),
        remedy=_REMEDY_LOGITS(activation=activation, kind=term.kind),
        where=term.where,
    )


RULE = Rule(
    code="activation-before-loss",
    severity="error",
    title=Text(
        en="The last activation cannot give what the loss asks for", zh="最后的激活函数给不出损失所要求的值"
    ),
    judge=judge,
    consequences=(
        "floor-above-zero",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """A ReLU at the end, standardised targets: half of them are negative, and half of the variance with them."""
    return _regression(flat(level=0.6), share=0.5, ratio=0.5)


def healthy() -> Recording:
    """A ReLU at the end of a model of noisy counts: some targets lie a little below zero."""
    return _regression(falling(start=1.0), share=0.05, ratio=0.001)


def _regression(loss: np.ndarray, share: float, ratio: float) -> Recording:
    contract = {"prediction": {"shape": [64, 1], "activation": "relu"}, "task": "regression"}
    series = {
        (signals.TARGET_BEYOND, "0/0"): every(20, 600, share),
        (signals.TARGET_BEYOND_VARIANCE, "0/0"): every(20, 600, ratio),
    }
    return record(loss, terms=[PlantedTerm(kind="mse", contract=contract)], series=series)
