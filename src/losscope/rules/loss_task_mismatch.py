"""``loss-task-mismatch``: the loss is made for another task than the one the outputs and targets show.

**What it says.** Cross-entropy over classes is computed for a model with a single output. A softmax over one score is
1 whatever the score: the loss is exactly 0 (or the same number for every model), and no gradient reaches the model.

**Statistic.** None: the number of output columns is read off the graph.

**Source.** softmax(z)₁ = e^z / e^z = 1 for one class, so that −ln softmax(z)₁ = 0 with derivative 0.

**Example.** ``F.cross_entropy(model(x), y)`` for a yes-or-no question with a model that ends in ``nn.Linear(64, 1)``:
the loss is 0.0000 from the first update.

**Remedy.** One output and targets 0 or 1: ``binary_cross_entropy_with_logits(model(x).squeeze(1), y.float())``. Or
two outputs, ``nn.Linear(64, 2)``, with ``cross_entropy``.

**False alarms.** Silent where the number of outputs varies, as in a choice among candidates of which one sample has a
single one: every sampled update must have shown one output.
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


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    for stream in streams(recording):
        for index, term in enumerate(terms(recording, stream)):
            looks = [event.get("terms") or () for event in events_of(recording, "anatomy", stream)]
            if all(len(look) > index and _has_one_column(look[index]) for look in looks):
                return [_finding(term)]
    return []


def _has_one_column(term: dict[str, Any]) -> bool:
    one_class = term.get("kind") == "cross_entropy" and (term.get("options") or {}).get("num_classes") == 1
    return one_class or _ONE_COLUMN in (term.get("notes") or ())


def _finding(term: TermView) -> Finding:
    shape = "[" + ", ".join(str(size) for size in term.prediction.get("shape") or ()) + "]"
    value = float(term.values[-1]) if term.values.size else 0.0
    evidence = Evidence(
        text=_EVIDENCE(shape=shape, value=value),
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
        "input-has-no-effect",
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
