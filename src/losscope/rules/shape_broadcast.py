"""``shape-broadcast``: every prediction is compared with every target.

**What it says.** Predictions of shape [N, 1] and targets of shape [N] were broadcast to an N × N table, so that
each prediction is drawn towards all targets of the batch at once. What minimises such a loss is the same constant
for every input: the mean for the squared error, the median for the absolute error.

**Statistic.** None: read off the autograd graph. Both sides are repeated, along different axes of equal length. Where
the graph does not hold the targets, they are what the differences and the predictions leave.

**Source.** Broadcasting aligns shapes at their *last* axis. Σᵢⱼ (pᵢ − yⱼ)² = N Σᵢ (pᵢ − ȳ)² + const. depends on the
targets through their mean ȳ alone.

**Example.** ``F.mse_loss(model(x), y)`` with a model that ends in ``nn.Linear(32, 1)`` and ``y`` of shape [64]; by hand
``((model(x) - y) ** 2).mean()``, for which torch gives no warning.

**Remedy.** Give both the same shape: ``model(x).squeeze(1)``, or ``y.unsqueeze(1)``.

**False alarms.** Silent where one side alone is repeated (a scalar target, one target for many outputs, a bias per
channel), where the axes have different lengths (quantile levels, code books), where all pairs are meant, as in kernels
and distances whose attraction stands beside a repulsion, and where a table is written as one (``x[:, None] - y[None]``)
beside other terms.
"""

from math import prod

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PlantedTerm, flat, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import streams
from losscope.rules.terms import TermView, terms

CODE = "shape-broadcast"
_MEANT = "all-pairs"
_TITLE = Text(
    en="Shapes were broadcast: {kind} is computed for every pair of a prediction and a target",
    zh="形状被广播：{kind} 对每个预测与每个目标的所有配对都作了计算",
)
_TITLE_UNKNOWN = Text(
    en="Shapes were broadcast: the loss is computed for every pair of a prediction and a target",
    zh="形状被广播：损失对每个预测与每个目标的所有配对都作了计算",
)
_EVIDENCE = Text(
    en="{count} predictions of shape {shape} against {count} targets make a table of {count} × {count} losses; "
    "the best answer to it is one constant for all inputs",
    zh="形状为 {shape} 的 {count} 个预测与 {count} 个目标形成 {count} × {count} 的损失表；"
    "其最优解是对所有输入给出同一个常数",
)
_GRAPH = Text(
    en="predictions of shape {shape} and the targets were both repeated to a table of all pairs",
    zh="形状为 {shape} 的预测与目标都被重复，形成所有配对的表",
)
_EXPECTED = Text(en="one loss for each pair of prediction and target", zh="每对预测与目标只有一个损失")
_REMEDY = Text(
    en="Give both the same shape before the loss: prediction.squeeze(-1), or target.view_as(prediction).",
    zh="在计算损失前让两者形状相同：prediction.squeeze(-1)，或 target.view_as(prediction)。",
)


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    for stream in streams(recording):
        found = terms(recording, stream)
        for term in found:
            if CODE in term.notes and not _repels(found, term):
                return [_finding(term)]
            if _MEANT in term.notes and all(other is term or not other.is_data for other in found):
                return [_finding(term)]
    return []


def _repels(found: list[TermView], term: TermView) -> bool:
    """Whether another term pushes apart what this one pulls together, as in an energy distance."""
    others = [other for other in found if other is not term and other.is_data]
    opposite = any(other.coefficient * term.coefficient < 0 and _is_table(other) for other in others)
    return opposite or (term.coefficient > 0 and any(other.coefficient < 0 for other in others))


def _is_table(term: TermView) -> bool:
    return CODE in term.notes or _MEANT in term.notes


def _finding(term: TermView) -> Finding:
    shape = [int(size) for size in term.prediction.get("shape") or ()]
    count = prod(shape)
    told = "[" + ", ".join(map(str, shape)) + "]"
    text = _EVIDENCE(count=count, shape=told) if count in shape and count > 1 else _GRAPH(shape=told)
    evidence = Evidence(
        text=text,
        signal=signals.TERM_VALUE.name,
        label=term.label,
        value=float(term.values[-1]) if term.values.size else 0.0,
        expected=_EXPECTED(),
    )
    return RULE.finding(
        title=_TITLE_UNKNOWN() if term.kind.startswith("unknown") else _TITLE(kind=term.kind),
        confidence=0.97,
        evidence=(evidence,),
        remedy=_REMEDY(),
        where=term.where,
    )


RULE = Rule(
    code=CODE,
    severity="error",
    title=Text(en="Every prediction is compared with every target", zh="每个预测都与每个目标作了比较"),
    judge=judge,
    consequences=(
        "input-has-no-effect",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "overfitting",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """Squared error of 64 predictions [64, 1] against targets [64]: the loss stays at the variance."""
    return record(flat(level=1.0), terms=[_term([64, 1], CODE)])


def healthy() -> Recording:
    """One target for each of 64 outputs."""
    return record(flat(level=0.02), terms=[_term([64, 1])])


def _term(shape: list[int], *notes: str) -> PlantedTerm:
    contract = {"prediction": {"shape": shape, "activation": None}, "task": "regression"}
    return PlantedTerm(kind="mse", chance=1.0, chance_error=0.01, notes=notes, contract=contract)
