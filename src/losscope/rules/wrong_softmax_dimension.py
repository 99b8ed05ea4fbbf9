"""``wrong-softmax-dimension``: probabilities are normalised over another axis than that of the classes.

**What it says.** The softmax before the loss runs over the samples of the batch (or the time steps) instead of the
classes, so that the samples compete with each other; or scores [N, C, H, W] were reshaped to [N·H·W, C] as they are, so
that it runs over neighbouring pixels; or it runs over an axis of length one and gives 1 whatever the model says.

**Statistic.** None: read off the autograd graph. The class axis is the one that the loss picks from, or along which the
targets are distributions, followed through transpositions; a softmax over one element has no gradient. A reshape is
told where its sizes leave no other reading: axis 1 had the size of the classes, and the last axis another one.

**Source.** ``torch.nn.Softmax(dim)``; without ``dim`` it takes axis 0 of tensors with one or three axes.

**Example.** ``F.nll_loss(F.log_softmax(logits, dim=0), y)`` on logits [64, 10]; ``torch.softmax(model(x), 1)`` on a
single output [64, 1].

**Remedy.** Normalise over the classes: ``dim=1`` for [N, C] and [N, C, H, W], ``dim=-1`` for [N, T, C]. A single
output takes a sigmoid.

**False alarms.** Silent on attention and on softmax over the batch or time inside a model, on contrastive losses over
both axes of a similarity matrix, and where the targets are distributions along the axis that is normalised.
"""

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PlantedTerm, falling, flat, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.terms import TermView, first_noted

CODE = "wrong-softmax-dimension"
_OF_ONE = "softmax-of-one"
_TITLE = Text(
    en="The softmax before the loss does not run over the classes",
    zh="损失之前的 softmax 不是在类别轴上归一化",
)
_TITLE_ONE = Text(
    en="The softmax before the loss runs over a single element: it gives 1 for every input",
    zh="损失之前的 softmax 只作用于单个元素：对任何输入都输出 1",
)
_EVIDENCE = Text(
    en="scores of shape {shape} are normalised along another axis than the one along which the targets tell "
    "classes apart",
    zh="形状为 {shape} 的得分所归一化的轴，不是目标区分类别的轴",
)
_EVIDENCE_ONE = Text(
    en="scores of shape {shape} are normalised along an axis of length 1, so that no gradient passes",
    zh="形状为 {shape} 的得分在长度为 1 的轴上归一化，因此没有梯度通过",
)
_TITLE_MIXED = Text(
    en="A reshape mixes up classes and pixels: the softmax before the loss runs over neighbouring pixels",
    zh="变形（reshape）混淆了类别与像素：损失之前的 softmax 作用于相邻像素",
)
_EVIDENCE_MIXED = Text(
    en="scores whose classes are axis 1 were reshaped to {shape} without moving that axis to the end",
    zh="类别位于第 1 轴的得分被直接变形为 {shape}，而没有先把该轴移到最后",
)
_REMEDY_MIXED = Text(
    en="Give the scores to the loss as they are, [N, C, H, W] with targets [N, H, W]; or move the classes first: "
    "scores.permute(0, 2, 3, 1).reshape(-1, C), scores.transpose(1, 2).reshape(-1, C) for [N, C, T].",
    zh="把得分原样交给损失：[N, C, H, W] 配目标 [N, H, W]；或先移动类别轴："
    "scores.permute(0, 2, 3, 1).reshape(-1, C)，对 [N, C, T] 用 scores.transpose(1, 2).reshape(-1, C)。",
)
_EXPECTED = Text(en="probabilities of each sample that sum to 1", zh="每个样本的概率之和为 1")
_EXPECTED_ONE = Text(en="an output that depends on the input", zh="随输入变化的输出")
_REMEDY = Text(
    en="Normalise over the classes: dim=1 for [N, C] and [N, C, H, W], dim=-1 for [N, T, C].",
    zh="在类别轴上归一化：[N, C] 与 [N, C, H, W] 用 dim=1，[N, T, C] 用 dim=-1。",
)
_REMEDY_ONE = Text(
    en="Use a sigmoid for a single output: binary_cross_entropy_with_logits(model(x), y) without softmax.",
    zh="单个输出应使用 sigmoid：去掉 softmax，改用 binary_cross_entropy_with_logits(model(x), y)。",
)

_TEXTS = {
    _OF_ONE: (_TITLE_ONE, _EVIDENCE_ONE, _EXPECTED_ONE, _REMEDY_ONE),
    CODE: (_TITLE, _EVIDENCE, _EXPECTED, _REMEDY),
    "classes-mixed": (_TITLE_MIXED, _EVIDENCE_MIXED, _EXPECTED, _REMEDY_MIXED),
}


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    for note, texts in _TEXTS.items():
        term = first_noted(recording, note)
        if term is not None:
            return [_finding(term, *texts)]
    return []


def _finding(term: TermView, title: Text, text: Text, expected: Text, remedy: Text) -> Finding:
    shape = "[" + ", ".join(str(size) for size in term.prediction.get("shape") or ()) + "]"
    evidence = Evidence(
        text=text(shape=shape),
        signal=signals.TERM_VALUE.name,
        label=term.label,
        value=float(term.values[-1]) if term.values.size else 0.0,
        expected=expected(),
    )
    return RULE.finding(
        title=title(),
        confidence=0.97,
        evidence=(evidence,),
        remedy=remedy(),
        where=term.where,
    )


RULE = Rule(
    code=CODE,
    severity="error",
    title=Text(en="The softmax runs over the wrong axis", zh="softmax 作用在错误的轴上"),
    judge=judge,
    consequences=(
        "floor-above-zero",
        "input-has-no-effect",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "overfitting",
        "parameters-not-optimised",
        "plateau-above-floor",
        "suspiciously-low-loss",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """Log-softmax over the batch, then ``nll_loss`` over ten classes."""
    return record(flat(level=3.4), terms=[PlantedTerm(chance=2.303, chance_error=0.001, notes=(CODE,))])


def healthy() -> Recording:
    """The same over the classes."""
    return record(falling())
