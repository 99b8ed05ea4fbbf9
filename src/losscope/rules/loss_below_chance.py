"""``loss-below-chance``: the model is worse than a constant answer.

**What it says.** The loss is above what the best *constant* prediction would get on the targets seen. The model does
not merely learn nothing: it is sure of wrong answers, or its outputs have another scale than the targets.

**Statistic.** As for ``loss-at-chance``: the 95 % interval of the skill 1 − (L − floor)/(chance − floor) over the last
fifth of the run lies below −5 %, after one pass over the data and 100 updates, and the loss is not falling.

**Source.** Murphy (1988), doi:10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2: a negative skill.

**Example.** A classifier of ten classes whose loss stays at 9: a learning rate that threw the weights far away, labels
that differ between the passes. A regression on targets of about 1000 whose outputs stay at about 0.

**Remedy.** Compare the outputs with the targets of one batch: their mean and spread, or which class is predicted.

**False alarms.** As for ``loss-at-chance``: not judged before one pass over the data, for objectives trained in
alternation, for values that are no progress, for statistics of a whole batch, or beside a subtracted loss of the same
kind; silent while the loss falls or the accuracy rises.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged, Severity
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import LONG_ENOUGH
from losscope.rules.loss_at_chance import is_below, skill_evidence, stuck_terms
from losscope.rules.planted import TEN_CLASSES, falling, flat, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.statistics.skill import Skill
from losscope.rules.streams import values
from losscope.rules.terms import TermView

_TITLE = Text(
    en="The model is worse than a constant answer: {kind} is {loss:.4g}, chance is {chance:.4g}",
    zh="模型比常数预测还差：{kind} 为 {loss:.4g}，随机水平为 {chance:.4g}",
)
_SCALE = Text(
    en="predictions have mean {mean:.3g} and spread {spread:.3g}, targets {target:.3g} and {width:.3g}",
    zh="预测的均值为 {mean:.3g}、离散程度为 {spread:.3g}，目标为 {target:.3g} 与 {width:.3g}",
)
_EXPECTED_SCALE = Text(
    en="the mean of the targets, and no larger spread", zh="与目标相同的均值，且离散程度不更大"
)
_REMEDY = Text(
    en="Compare the outputs with the targets of one batch, mean and spread or predicted classes: a constant would do "
    "better. Start again from fresh weights with a learning rate ten times smaller, and with standardised targets if "
    "these are large.",
    zh="请比较一个批次的输出与目标（均值与离散程度，或所预测的类别）：常数预测会更好。"
    "请从新的权重开始，把学习率缩小十倍；若目标数值很大，先做标准化。",
)


def judge(recording: Recording) -> Outcome:
    found = stuck_terms(recording)
    if isinstance(found, NotJudged):
        return found
    severity, stuck = found
    return [_finding(recording, term, s, severity) for term, s in stuck if is_below(s)][:1]


def _finding(recording: Recording, term: TermView, found: Skill, severity: Severity) -> Finding:
    return RULE.finding(
        title=_TITLE(kind=term.kind, loss=found.loss, chance=found.chance),
        severity=severity,
        confidence=0.95 if len(term.values) >= LONG_ENOUGH else 0.8,
        evidence=(skill_evidence(term, found), *_scales(recording, term)),
        remedy=_REMEDY(),
        where=term.where,
    )


def _scales(recording: Recording, term: TermView) -> tuple[Evidence, ...]:
    """Means and spreads of predictions and targets of a regression, where they were sampled."""
    wanted = (signals.PREDICTION_MEAN, signals.PREDICTION_STD, signals.TARGET_MEAN, signals.TARGET_STD)
    found = [_late(values(recording, signal, term.label)) for signal in wanted]
    if term.task != "regression" or any(level is None for level in found):
        return ()
    mean, spread, target, width = found
    evidence = Evidence(
        text=_SCALE(mean=mean, spread=spread, target=target, width=width),
        signal=signals.PREDICTION_MEAN.name,
        label=term.label,
        value=mean or 0.0,
        expected=_EXPECTED_SCALE(),
    )
    return (evidence,)


def _late(sampled: Floats) -> float | None:
    return float(np.median(sampled[-max(1, sampled.size // 5) :])) if sampled.size else None


RULE = Rule(
    code="loss-below-chance",
    severity="error",
    title=Text(en="The model is worse than a constant answer", zh="模型比常数预测还差"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("overfitting", "plateau-above-floor"),
)


def broken() -> Recording:
    """Ten classes, a loss that stays at 9."""
    return record(flat(level=9.0), terms=[TEN_CLASSES])


def healthy() -> Recording:
    """A loss that began at 9 and is learnt."""
    return record(falling(start=9.0))
