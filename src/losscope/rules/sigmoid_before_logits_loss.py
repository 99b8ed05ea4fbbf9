"""``sigmoid-before-logits-loss``: probabilities are given to a loss that applies the sigmoid itself.

**What it says.** The model ends in a sigmoid (or a softmax) and ``binary_cross_entropy_with_logits`` applies another
sigmoid. The model can then only answer with probabilities between σ(0) = 0.5 and σ(1) = 0.731: it can never say
"no" with more than 50 % certainty.

**Statistic.** None: read off the autograd graph, where the logits are the output of a sigmoid or a softmax with
nothing but shape and type changes in between.

**Source.** ``torch.nn.BCEWithLogitsLoss`` takes unnormalised logits. Its best value on probabilities is
ln(1 + e⁻¹) = 0.3133 for a positive target and ln 2 = 0.6931 for a negative one.

**Example.** ``BCEWithLogitsLoss()(torch.sigmoid(model(x)), y)`` on balanced targets stays above 0.5032.

**Remedy.** Remove the sigmoid from the model, and apply it only where probabilities are shown.

**False alarms.** ``binary_cross_entropy`` on probabilities is correct, and so is a sigmoid inside the model (a gate,
a squeeze-and-excitation block) that does not feed the loss directly: silent on both.
"""

import math

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PlantedTerm, falling, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.terms import first_noted

CODE = "sigmoid-before-logits-loss"
_TITLE = Text(
    en="Sigmoid is applied twice: {kind} gets probabilities where it expects logits",
    zh="sigmoid 被应用了两次：{kind} 得到的是概率，而它需要 logits",
)
_EVIDENCE = Text(
    en="the loss is {value:.4g}; on probabilities it cannot fall below {positive:.4g} = ln(1+1/e) for a positive "
    "and {negative:.4g} = ln 2 for a negative target",
    zh="损失为 {value:.4g}；输入概率时，正样本的损失不可能低于 {positive:.4g} = ln(1+1/e)，"
    "负样本不可能低于 {negative:.4g} = ln 2",
)
_GRAPH = Text(
    en="the operation that feeds {kind} in the autograd graph squashes its values to between 0 and 1",
    zh="自动求导图中，输入 {kind} 的运算把数值压缩到 0 与 1 之间",
)
_EXPECTED = Text(en="logits, and a floor of 0", zh="应输入 logits，下限为 0")
_REMEDY = Text(
    en="Remove the sigmoid at the end of the model (nn.Sigmoid, torch.sigmoid): "
    "binary_cross_entropy_with_logits(logits, y) applies it itself.",
    zh="去掉模型末尾的 sigmoid（nn.Sigmoid、torch.sigmoid）："
    "binary_cross_entropy_with_logits(logits, y) 自身已包含 sigmoid。",
)


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    term = first_noted(recording, CODE)
    if term is None:
        return []
    value = float(term.values[-5:].mean()) if term.values.size else math.nan
    text = _GRAPH(kind=term.kind)
    if math.isfinite(value):
        text = _EVIDENCE(value=value, positive=math.log1p(math.exp(-1)), negative=math.log(2))
    evidence = Evidence(
        text=text, signal=signals.TERM_VALUE.name, label=term.label, value=value, expected=_EXPECTED()
    )
    title = _TITLE(kind=term.kind)
    return [
        RULE.finding(title=title, confidence=0.99, evidence=(evidence,), remedy=_REMEDY(), where=term.where)
    ]


RULE = Rule(
    code=CODE,
    severity="error",
    title=Text(en="Sigmoid is applied twice", zh="sigmoid 被应用了两次"),
    judge=judge,
    consequences=(
        "floor-above-zero",
        "learning-rate-too-low",
        "loss-at-chance",
        "loss-at-floor",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """Binary cross-entropy with logits on the output of a sigmoid, balanced targets."""
    term = PlantedTerm(kind="binary_cross_entropy_with_logits", chance=0.6931, floor=0.5032, notes=(CODE,))
    return record(falling(start=0.69, end=0.51, noise=0.005), terms=[term])


def healthy() -> Recording:
    """The same loss on logits."""
    return record(
        falling(start=0.69, end=0.3, noise=0.005),
        terms=[PlantedTerm(kind="binary_cross_entropy_with_logits", chance=0.6931)],
    )
