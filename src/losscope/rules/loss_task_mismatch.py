"""``loss-task-mismatch``: the loss is made for another task than the one the outputs and targets show.

**What it says.** Cross-entropy over classes is computed for a model with a single output. A softmax over one score is 1
whatever the score: the loss is exactly 0 (or the same number for every model), and no gradient reaches the model. Or
its targets are no probabilities of classes: numbers to be predicted, one for each sample, so that the samples of the
batch are taken for classes; or several labels at once, of which a softmax cannot give two a probability of 1.

**Statistic.** None: the number of output columns is read off the graph; the rows of the targets that
``F.cross_entropy`` was given sum to 1, are all zero, or are no distributions.

**Source.** softmax(z)₁ = e^z / e^z = 1 for one class, so that −ln softmax(z)₁ = 0 with derivative 0.

**Example.** ``F.cross_entropy(model(x), y)`` for a yes-or-no question with a model that ends in
``nn.Linear(64, 1)``: the loss is 0.0000 from the first update. ``F.cross_entropy(model(x).squeeze(), price)``: the loss
is −5 and falls to −8,000. ``F.cross_entropy(z, tags)`` with tags [0, 1, 1, 0].

**Remedy.** One output and targets 0 or 1: ``binary_cross_entropy_with_logits(model(x).squeeze(1), y.float())``. Or two
outputs, ``nn.Linear(64, 2)``, with ``cross_entropy``. ``mse_loss`` for numbers;
``binary_cross_entropy_with_logits`` for several labels.

**False alarms.** Silent where the number of outputs varies, as in a choice among candidates of which one sample has a
single one: every sampled update must have shown one output. Silent on soft labels, mixup and distillation, on rows of
zeros, and on likelihoods of counts and lists of relevances that are written by hand as −Σ x·log_softmax(z).
"""

from typing import Any

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PlantedTerm, falling, flat, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import events_of, streams
from losscope.rules.terms import TermView, terms

_ONE_COLUMN = "one-output-column"
_TITLE = Text(
    en="Cross-entropy over classes is given a single output: its loss is the same for every model",
    zh="多类交叉熵只得到一个输出：无论模型如何，损失都相同",
)
_EVIDENCE = Text(
    en="scores of shape {shape} have one class, whose probability is always 1; the loss is {value:.4g}",
    zh="形状为 {shape} 的得分只有一个类别，其概率恒为 1；损失为 {value:.4g}",
)
_EXPECTED = Text(
    en="two or more classes, or a loss for one output", zh="两个或更多类别，或适用于单个输出的损失"
)
_REMEDY = Text(
    en="For one output use binary_cross_entropy_with_logits(model(x).squeeze(1), y.float()); with cross_entropy the "
    "model needs one output for each class, two for yes and no.",
    zh="单个输出应使用 binary_cross_entropy_with_logits(model(x).squeeze(1), y.float())；"
    "若使用 cross_entropy，模型需要为每个类别各给出一个输出（二分类为两个）。",
)
_TITLE_NUMBERS = Text(
    en="Cross-entropy over classes is given numbers as targets, which are no probabilities",
    zh="多类交叉熵的目标是一般数值，而不是概率",
)
_EVIDENCE_NUMBERS = Text(
    en="scores of shape {shape} meet targets whose rows do not sum to 1: a softmax has nothing to fit them with",
    zh="形状为 {shape} 的得分所对应的目标，其各行之和不为 1：softmax 无法拟合",
)
_EVIDENCE_SAMPLES = Text(
    en="scores of shape {shape} have one axis, so that the samples of the batch are taken for the classes of one",
    zh="形状为 {shape} 的得分只有一个轴，因此批次中的样本被当作同一样本的类别",
)
_EXPECTED_ROWS = Text(en="class indices, or rows that sum to 1", zh="类别编号，或和为 1 的行")
_REMEDY_NUMBERS = Text(
    en="For numbers use mse_loss(model(x).squeeze(1), y); for yes and no binary_cross_entropy_with_logits with the "
    "same arguments; for classes give their indices, y.long().",
    zh="预测数值用 mse_loss(model(x).squeeze(1), y)；二分类用 binary_cross_entropy_with_logits（参数相同）；"
    "多分类应给出类别编号 y.long()。",
)
_TITLE_SEVERAL = Text(
    en="Cross-entropy over exclusive classes is given several labels at once",
    zh="互斥类别的交叉熵得到了多个同时成立的标签",
)
_EVIDENCE_SEVERAL = Text(
    en="the targets for scores of shape {shape} have several labels in a row: a softmax cannot give two of them 1",
    zh="形状为 {shape} 的得分所对应的目标每行有多个标签：softmax 无法让两个标签同时为 1",
)
_REMEDY_SEVERAL = Text(
    en="Use binary_cross_entropy_with_logits(z, y): one yes or no for each label.",
    zh="使用 binary_cross_entropy_with_logits(z, y)：每个标签各作一次二分类。",
)


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    for stream in streams(recording):
        for index, term in enumerate(terms(recording, stream)):
            looks = [event.get("terms") or () for event in events_of(recording, "anatomy", stream)]
            if all(len(look) > index and _has_one_column(look[index]) for look in looks):
                return [_finding(term)]
            found = _of_targets(term) if "cross_entropy" in _called(recording, stream) else None
            if found is not None:
                return [found]
    return []


def _has_one_column(term: dict[str, Any]) -> bool:
    one_class = term.get("kind") == "cross_entropy" and (term.get("options") or {}).get("num_classes") == 1
    return one_class or _ONE_COLUMN in (term.get("notes") or ())


def _called(recording: Recording, stream: str) -> list[str]:
    """torch's own loss functions that the script calls."""
    return [name for event in events_of(recording, "anatomy", stream) for name in event.get("called") or ()]


def _of_targets(term: TermView) -> Finding | None:
    """Targets of a softmax whose rows are no distributions."""
    sizes = term.prediction.get("shape") or ()
    if "several-classes" in term.notes:
        told = _TITLE_SEVERAL(), _EVIDENCE_SEVERAL(shape=_shape(term)), _REMEDY_SEVERAL()
    elif "no-distribution" in term.notes:
        text = _EVIDENCE_SAMPLES if len(sizes) == 1 else _EVIDENCE_NUMBERS
        told = _TITLE_NUMBERS(), text(shape=_shape(term)), _REMEDY_NUMBERS()
    else:
        return None
    title, text, remedy = told
    value = float(term.values[-1]) if term.values.size else 0.0
    evidence = Evidence(
        text=text, signal=signals.TERM_VALUE.name, label=term.label, value=value, expected=_EXPECTED_ROWS()
    )
    several = "several-classes" in term.notes
    return RULE.finding(
        title=title,
        severity="warning" if several else "error",
        confidence=0.9,
        evidence=(evidence,),
        remedy=remedy,
        where=term.where,
    )


def _shape(term: TermView) -> str:
    return "[" + ", ".join(str(size) for size in term.prediction.get("shape") or ()) + "]"


def _finding(term: TermView) -> Finding:
    value = float(term.values[-1]) if term.values.size else 0.0
    evidence = Evidence(
        text=_EVIDENCE(shape=_shape(term), value=value),
        signal=signals.TERM_VALUE.name,
        label=term.label,
        value=value,
        expected=_EXPECTED(),
    )
    return RULE.finding(
        title=_TITLE(), confidence=0.98, evidence=(evidence,), remedy=_REMEDY(), where=term.where
    )


RULE = Rule(
    code="loss-task-mismatch",
    severity="error",
    title=Text(en="The loss is made for another task", zh="损失适用于另一种任务"),
    judge=judge,
    consequences=(
        "diverging-loss",
        "exploding-gradient",
        "input-has-no-effect",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "parameters-not-optimised",
        "plateau-above-floor",
        "vanishing-gradient",
        "wrong-softmax-dimension",
    ),
)


def broken() -> Recording:
    """Cross-entropy of a single output: 0 from the start."""
    return record(flat(level=0.0), terms=[_term(1)])


def healthy() -> Recording:
    """Two outputs."""
    return record(falling(start=0.69), terms=[_term(2)])


def _term(classes: int) -> PlantedTerm:
    contract = {"prediction": {"shape": [64, classes], "activation": None}}
    return PlantedTerm(options={"num_classes": classes, "target": "class"}, contract=contract)
