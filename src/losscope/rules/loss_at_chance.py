"""``loss-at-chance``: the model is no better than a constant answer.

**What it says.** The loss equals what the best *constant* prediction would get on the targets seen: the model
uses nothing of its input.

**Statistic.** Skill = 1 − (L − floor)/(chance − floor) of the last fifth of the run with its 95 % interval, which
carries the error of the mean loss (batch means) and that of the chance level. Reported iff the interval reaches 0
(within 1 %) and excludes a skill above 5 %, after one pass over the data and 100 updates, and where the loss is
not falling. Below −5 % for sure it is ``loss-below-chance``.
The chance level is computed from the targets (label entropy, variance, mean absolute deviation …), so that an
imbalanced data set is not measured against ln C.

**Source.** Murphy (1988), doi:10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2; label entropy with the correction
of Miller (1955) as computed while watching.

**Example.** A classifier of ten classes whose loss stays at 2.30 = ln 10: shuffled labels, dead units, inputs of
zeros, a learning rate of 0.

**Remedy.** Find out whether the model can fit one batch; if it cannot, the fault lies in the wiring, otherwise
in the data or the step size.

**False alarms.** Not judged before one pass over the data, for objectives trained in alternation (a
discriminator at ln 2 is at its equilibrium), for values that are no progress, for statistics of a whole batch (moments
of generated samples), or beside a subtracted loss of the same kind (energy scores). Silent while the loss still
falls or the accuracy still rises; a warning only, where other terms of the objective are learnt. Data without
any signal (a fair coin) are truly at chance.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged, Severity
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import LONG_ENOUGH, long_enough
from losscope.rules.layer_profile import silent_inputs
from losscope.rules.planted import PlantedTerm, falling, flat, record
from losscope.rules.reasons import no_chance, no_late_samples, too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.batch_means import change
from losscope.rules.statistics.skill import Skill
from losscope.rules.streams import losses, progress, updates, values
from losscope.rules.terms import TermView, terms

_MARGIN = 0.05
_RISING_ACCURACY = 0.1
_TITLE = Text(
    en="The model is no better than a constant answer: {kind} is {loss:.4g}, chance is {chance:.4g}",
    zh="模型不比常数预测更好：{kind} 为 {loss:.4g}，随机水平为 {chance:.4g}",
)
_EVIDENCE = Text(
    en="skill over the last {count} values: {skill:.3f}, 95 % interval {low:.3f} to {high:.3f}",
    zh="最后 {count} 个值的技能分数：{skill:.3f}，95% 区间为 {low:.3f} 至 {high:.3f}",
)
_EXPECTED = Text(
    en="a skill above 0; the best constant prediction for these targets gets {chance:.4g}",
    zh="技能分数大于 0；对这些目标，最佳常数预测的损失为 {chance:.4g}",
)
_SILENT = Text(
    en="{name} gets no gradient while its bias does: what reaches this layer is all zero",
    zh="{name} 没有梯度，而其偏置有：到达该层的输入全为零",
)
_EXPECTED_INPUT = Text(en="an input that varies", zh="随样本变化的输入")
_REMEDY = Text(
    en="Train on one fixed batch for 200 updates. If the loss does not fall there, the fault lies between input "
    "and loss (inputs, labels, dead or detached layers, learning rate); if it does, check that each input "
    "still belongs to its label.",
    zh="用一个固定批次训练 200 次更新。若损失仍不下降，问题在输入与损失之间（输入、标签、失活或被截断的层、学习率）；"
    "若能下降，请检查每个输入是否仍与其标签对应。",
)


def judge(recording: Recording) -> Outcome:
    found = stuck_terms(recording)
    if isinstance(found, NotJudged):
        return found
    severity, stuck = found
    silent = silent_inputs(recording, stuck[0][0].label.partition("/")[0]) if stuck else []
    return [_finding(term, s, severity, silent) for term, s in stuck if not is_below(s)][:1]


def stuck_terms(recording: Recording) -> tuple[Severity, list[tuple[TermView, Skill]]] | NotJudged:
    """Terms at their chance level or above it for good; an error where no other term with such a level is learnt."""
    stream = progress(recording)
    if isinstance(stream, NotJudged):
        return stream
    judged = [term for term in terms(recording, stream) if term.chance is not None and term.chance > 0]
    if not judged:
        return no_chance()
    judged = [term for term in judged if term.skill() is not None]
    if not judged:
        return no_late_samples()
    if not long_enough(recording, stream):
        return too_few(updates(recording, stream), LONG_ENOUGH)
    stuck = [(term, s) for term in judged if (s := at_chance(recording, term)) is not None]
    return "error" if len(stuck) == len(judged) else "warning", stuck


def is_below(found: Skill) -> bool:
    """Whether the model is worse than a constant answer, for sure and by more than 5 %."""
    return found.high < -_MARGIN


def at_chance(recording: Recording, term: TermView) -> Skill | None:
    """The skill of a term that is at chance for good; ``None`` where it is not, or not surely."""
    found = term.skill()
    if found is None or not found.at_chance(_MARGIN) or _still_learning(recording, term):
        return None
    return found


def _still_learning(recording: Recording, term: TermView) -> bool:
    """The second half still falls by more than the margin, or accuracy has risen by a tenth.

    The term itself may be sampled too thinly to tell; the loss that it is a part of is recorded more densely.
    """
    least = _MARGIN * (term.chance or 0.0)
    whole = losses(recording, term.label.partition("/")[0])
    for series, scale in ((term.values, 1.0), (whole, abs(term.coefficient))):
        moved = change(series[len(series) // 2 :])
        if moved is not None and moved.high < 0 and moved.value < -least * scale:
            return True
    accuracy = values(recording, signals.ACCURACY, term.label)
    third = accuracy.size // 3
    return third >= 2 and float(np.mean(accuracy[-third:]) - np.mean(accuracy[:third])) > _RISING_ACCURACY


def _finding(term: TermView, found: Skill, severity: Severity, silent: list[str]) -> Finding:
    title = _TITLE(kind=term.kind, loss=found.loss, chance=found.chance)
    confidence = 0.95 if len(term.values) >= LONG_ENOUGH else 0.8
    return RULE.finding(
        title=title,
        severity=severity,
        confidence=confidence,
        evidence=(skill_evidence(term, found), *_silent(silent)),
        remedy=_REMEDY(),
        where=term.where,
    )


def skill_evidence(term: TermView, found: Skill) -> Evidence:
    """The skill of a term with its interval."""
    text = _EVIDENCE(count=len(term.recent()), skill=found.value, low=found.low, high=found.high)
    return Evidence(
        text=text,
        signal=signals.TERM_VALUE.name,
        label=term.label,
        value=found.loss,
        expected=_EXPECTED(chance=found.chance),
    )


def _silent(names: list[str]) -> tuple[Evidence, ...]:
    """The first layer whose input is nothing but zeros: empty data, or dead units before it."""
    if not names:
        return ()
    evidence = Evidence(
        text=_SILENT(name=names[0]),
        signal=signals.GRADIENT_NORM_PARAMETER.name,
        label=names[0],
        value=0.0,
        expected=_EXPECTED_INPUT(),
    )
    return (evidence,)


RULE = Rule(
    code="loss-at-chance",
    severity="error",
    title=Text(en="The model is no better than a constant answer", zh="模型不比常数预测更好"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("overfitting", "plateau-above-floor"),
)


def broken() -> Recording:
    """Labels shuffled against the inputs: ten classes, the loss stays at ln 10."""
    return record(flat())


def healthy() -> Recording:
    """Imbalanced classes: the loss is 0.21, far below ln 10, and still below the label entropy of 0.33."""
    return record(falling(start=2.3, end=0.2), terms=[PlantedTerm(chance=0.325, chance_error=0.004)])
