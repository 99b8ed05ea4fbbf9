"""``suspiciously-low-loss``: the loss is low because nothing is asked of the model.

**What it says.** The loss is 0 at every update from the first one on: a prediction is compared with itself. Or the loss
has fallen to its best value while the prediction is the same for every sample: both sides of the comparison come from
the model, which has learnt to give one constant answer on both.

**Statistic.** An identity: all losses are 0. Or: a distance ends at 1 % of its start or below (a similarity at 0.99 or
above) while the spread of the prediction between samples, relative to its size, is at most 5 % of what it was: an
answer that is the same for all samples can only be right where the target is, too. So a distance must also have
fallen to 1 % of the chance level of the first targets, where that is known: targets that stay do not allow it.

**Source.** Collapse of two branches without a stop-gradient: Chen and He (2021), SimSiam, arXiv:2011.10566, section
4.1.

**Example.** ``F.mse_loss(output, output)`` for ``F.mse_loss(output, target)``. ``F.mse_loss(f(x1), f(x2))`` for two
views of a picture: 0.0000002 after 100 updates, and every picture has the same embedding.

**Remedy.** Compare with the target. Of two branches detach one, behind a predictor or a slow copy of the model; or add
a term that rewards spread.

**False alarms.** Silent on models that fit well, whose answers differ between samples, on small data sets that are
learnt by heart, on residuals that become small noise, on distances that begin at 0 and grow (to a reference model), on
hinges that are 0 most of the time, and on branches that are kept apart (stop-gradient, variance terms, negatives).
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.numbers import percent, readable
from losscope.rules.planted import Planted, PlantedTerm, every, falling, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import line_of, progress, values
from losscope.rules.terms import TermView, terms

_FALLEN, _ALIKE, _COLLAPSED, _LEAST = 0.01, 0.99, 0.05, 5
_TITLE_ZERO = Text(
    en="The loss is 0 at every update: there is nothing to learn", zh="每次更新的损失都是 0：没有可学习的内容"
)
_EVIDENCE_ZERO = Text(en="all {count} recorded losses are 0", zh="记录的全部 {count} 个损失值都是 0")
_EXPECTED_ZERO = Text(en="a loss above 0 before the model has learnt", zh="模型学会之前损失大于 0")
_REMEDY_ZERO = Text(
    en="Look at what is compared: loss(output, target), not the output with itself or with a copy of it.",
    zh="检查比较的对象：应为 loss(output, target)，而不是输出与其自身或其副本相比。",
)
_TITLE = Text(
    en="The loss is low because the answer is the same for every sample: {kind} fell from {first} to {last}",
    zh="损失很低是因为对每个样本给出同样的答案：{kind} 从 {first} 变为 {last}",
)
_EVIDENCE = Text(
    en="the spread of the prediction between samples is {share} % of what it was at the start",
    zh="预测在样本之间的离散程度只有开始时的 {share}%",
)
_EXPECTED = Text(en="answers that differ between samples", zh="不同样本的答案应不同")
_REMEDY = Text(
    en="Compare with a target that the model cannot move: detach one of the two branches, mse_loss(predictor(a), "
    "b.detach()), or add a term that rewards spread.",
    zh="应与模型无法移动的目标比较：截断其中一个分支 mse_loss(predictor(a), b.detach())，或加入鼓励离散的项。",
)


def judge(recording: Recording) -> Outcome:
    stream = progress(recording)
    if isinstance(stream, NotJudged):
        return stream
    losses = values(recording, signals.LOSS, stream)
    if losses.size >= _LEAST and not losses.any():
        return [_zero(recording, stream, losses.size)]
    for term in terms(recording, stream):
        spreads = values(recording, signals.PREDICTION_VARIATION, term.label)
        if term.is_data and term.values.size >= _LEAST and spreads.size >= _LEAST and _is_best(term):
            if not _below_chance(recording, term):
                continue
            left = float(np.median(spreads[-3:])) / max(float(spreads[0]), 1e-300)
            if left <= _COLLAPSED:
                return [_finding(term, left)]
    return []


def _is_best(term: TermView) -> bool:
    """Whether the term ends at the best value that it can have, from a start that was worse."""
    first, last = float(term.values[0]), float(np.median(term.values[-3:]))
    if term.kind == "cosine_similarity":
        return term.coefficient < 0 and last >= _ALIKE > first
    return term.coefficient > 0 and term.bounds[0] == 0 and first > 0 and last <= _FALLEN * first


def _below_chance(recording: Recording, term: TermView) -> bool:
    """Whether one answer for all samples is better than the targets at the start allowed: these were moved, too."""
    chances = values(recording, signals.TERM_CHANCE, term.label)
    return not chances.size or float(np.median(term.values[-3:])) <= _FALLEN * float(chances[0])


def _zero(recording: Recording, stream: str, count: int) -> Finding:
    evidence = Evidence(
        text=_EVIDENCE_ZERO(count=count),
        signal=signals.LOSS.name,
        label=stream,
        value=0.0,
        expected=_EXPECTED_ZERO(),
    )
    return RULE.finding(
        title=_TITLE_ZERO(),
        confidence=0.95,
        evidence=(evidence,),
        remedy=_REMEDY_ZERO(),
        where=line_of(recording, stream, "anatomy"),
    )


def _finding(term: TermView, left: float) -> Finding:
    evidence = Evidence(
        text=_EVIDENCE(share=percent(left)),
        signal=signals.PREDICTION_VARIATION.name,
        label=term.label,
        value=left,
        expected=_EXPECTED(),
    )
    first, last = readable(float(term.values[0])), readable(float(term.values[-1]))
    return RULE.finding(
        title=_TITLE(kind=term.kind, first=first, last=last),
        confidence=0.9,
        evidence=(evidence,),
        remedy=_REMEDY(),
        where=term.where,
    )


RULE = Rule(
    code="suspiciously-low-loss",
    severity="error",
    title=Text(
        en="The loss is low because nothing is asked of the model", zh="损失很低是因为没有对模型提出要求"
    ),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "dead-units",
        "learning-rate-too-low",
        "loss-at-chance",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """Two branches without a stop-gradient: the distance falls to nothing, and the embeddings to one point."""
    return _branches(0.01)


def healthy() -> Recording:
    """The same fall of a model that fits: its answers differ as they did."""
    return _branches(0.9)


def _branches(end: float) -> Recording:
    term = PlantedTerm(kind="mse", contract={"task": "regression", "bounds": [0.0, None]})
    series: Planted = {(signals.PREDICTION_VARIATION, "0/0"): every(20, 600, np.geomspace(0.9, end, 30))}
    return record(falling(start=0.1, end=1e-5), terms=[term], series=series)
