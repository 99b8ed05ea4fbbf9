"""``double-softmax``: probabilities are given to a loss that applies softmax itself.

**What it says.** The model ends in a softmax and ``cross_entropy`` applies a second one. The loss cannot fall
below −ln(e/(e+C−1)), gradients are weak, and training is slow even where the accuracy looks fine.

**Statistic.** None: read off the autograd graph, where LogSoftmax is fed by Softmax with nothing but shape and
type changes in between.

**Source.** ``torch.nn.CrossEntropyLoss`` takes unnormalised logits. Floor: all probability on the right class
gives logits 1, 0, …, 0.

**Example.** ``F.cross_entropy(torch.softmax(model(x), 1), y)`` over ten classes stays above 1.4612, with an
accuracy of 99.9 %.

**Remedy.** Remove the softmax from the model, and apply it only where probabilities are shown.

**False alarms.** ``softmax`` followed by ``log`` and ``nll_loss`` is correct (if numerically weak), and so is
attention, whose softmax does not feed the loss directly: silent on both.
"""

import math

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PlantedTerm, falling, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.terms import TermView, first_noted

CODE = "double-softmax"
_TITLE = Text(
    en="Softmax is applied twice: {kind} gets probabilities where it expects logits",
    zh="softmax 被应用了两次：{kind} 得到的是概率，而它需要 logits",
)
_EVIDENCE = Text(
    en="the loss is {value:.4g} and cannot fall below {floor:.4g} = −ln(e/(e+{others})) this way",
    zh="损失为 {value:.4g}，在这种写法下不可能低于 {floor:.4g} = −ln(e/(e+{others}))",
)
_GRAPH = Text(
    en="the operation that feeds {kind} in the autograd graph is a softmax",
    zh="自动求导图中，输入 {kind} 的运算是 softmax",
)
_EXPECTED = Text(en="logits, and a floor of 0", zh="应输入 logits，下限为 0")
_REMEDY = Text(
    en="Remove the softmax at the end of the model (nn.Softmax, torch.softmax): cross_entropy(logits, y) "
    "applies it itself.",
    zh="去掉模型末尾的 softmax（nn.Softmax、torch.softmax）：cross_entropy(logits, y) 自身已包含 softmax。",
)


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    term = first_noted(recording, CODE)
    if term is None:
        return []
    return [
        RULE.finding(
            title=_TITLE(kind=term.kind),
            confidence=0.99,
            evidence=(_evidence(term),),
            remedy=_REMEDY(),
            where=term.where,
        )
    ]


def _evidence(term: TermView) -> Evidence:
    value = float(term.values[-5:].mean()) if term.values.size else math.nan
    shape = term.prediction.get("shape") or []
    classes = int(shape[1]) if len(shape) > 1 and isinstance(shape[1], int) else 0
    if classes < 2 or not math.isfinite(value):
        text = _GRAPH(kind=term.kind)
    else:
        floor = -math.log(math.e / (math.e + classes - 1))
        text = _EVIDENCE(value=value, floor=floor, others=classes - 1)
    return Evidence(
        text=text, signal=signals.TERM_VALUE.name, label=term.label, value=value, expected=_EXPECTED()
    )


RULE = Rule(
    code=CODE,
    severity="error",
    title=Text(en="Softmax is applied twice", zh="softmax 被应用了两次"),
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
    """Cross-entropy on the output of a softmax over ten classes."""
    term = PlantedTerm(chance=2.303, floor=1.4612, notes=(CODE,))
    return record(falling(end=1.48, noise=0.01), terms=[term])


def healthy() -> Recording:
    """Softmax, then logarithm, then ``nll_loss``: the same prediction written out."""
    return record(falling(), terms=[PlantedTerm(kind="nll_loss", chance=2.303)])
