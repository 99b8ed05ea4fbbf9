"""``memorising``: the training data are learnt by heart, and nothing carries over to other data.

**What it says.** The training loss is far below chance, while no evaluation on other data was ever better than a
constant answer. This is more than overfitting, where held-out data were predicted well at first.

**Statistic.** The lower end of the 95 % interval of the training skill (1 − L/L_chance) is above 0.5, and the best of
at least three evaluations, with at least 50 samples each, has a skill below 0.1 against the same chance level.

**Source.** Zhang et al. (2017), arXiv:1611.03530: networks fit random labels as easily as true ones.

**Example.** Shuffled labels and 100 epochs: training loss 0.02, validation loss 2.3, then 5.

**Remedy.** Check that inputs and labels belong together, and that validation data are prepared as training data are;
if both hold, the model is too large for so few data.

**False alarms.** Only losses of the same kind are compared, and only where the chance level is known. Tasks that are
generalised long after they were fitted (grokking) look the same until then. Silent once held-out data were predicted
better than by a constant.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.evaluations import held_out_labels
from losscope.rules.numbers import readable
from losscope.rules.planted import falling, record
from losscope.rules.reasons import no_chance
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import finite
from losscope.rules.streams import progress
from losscope.rules.terms import TermView, data_terms

_FITTED, _NOTHING, _EVALUATIONS, _SAMPLES = 0.5, 0.1, 3, 50
_NO_HELD_OUT = Text(
    en="no loss of the same kind was seen on held-out data, or fewer than three times",
    zh="没有观察到留出数据上的同类损失，或少于三次",
)
_TITLE = Text(
    en="The training data are learnt by heart: {training} in training, and never better than {best} on held-out data, "
    "where a constant answer gets {chance}",
    zh="训练数据被死记硬背：训练损失为 {training}，留出数据上最好也只有 {best}，而常数预测为 {chance}",
)
_EVIDENCE = Text(
    en="skill {skill:.2f} (at least {low:.2f}) in training; at best {held:.2f} in {count} evaluations",
    zh="训练技能分数 {skill:.2f}（至少 {low:.2f}）；{count} 次评估中最好为 {held:.2f}",
)
_EXPECTED = Text(en="held-out data better than chance, {chance}", zh="留出数据应好于随机水平 {chance}")
_REMEDY = Text(
    en="Check that each input has its own label, and that held-out data are prepared exactly as training data are "
    "(scaling, class numbers, eval mode). If so: more data, a smaller model, or stronger regularisation.",
    zh="检查每个输入是否对应自己的标签，留出数据的处理是否与训练数据完全一致（缩放、类别编号、eval 模式）。"
    "若都正确：增加数据、缩小模型或加强正则化。",
)


def judge(recording: Recording) -> Outcome:
    stream = progress(recording)
    if isinstance(stream, NotJudged):
        return stream
    judged = data_terms(recording, stream)
    if len(judged) != 1 or judged[0].chance is None or judged[0].reduction != "mean":
        return no_chance()
    term = judged[0]
    label = _same_kind(recording, term)
    skill = term.skill()
    if label is None or skill is None or term.chance is None:
        return NotJudged(_NO_HELD_OUT())
    held = finite(recording.series(signals.EVALUATION_LOSS, label).values)
    floor = term.floor or 0.0
    best = float(held.min())
    carried = 1 - (best - floor) / (term.chance - floor) if term.chance > floor else 1.0
    if skill.low < _FITTED or carried > _NOTHING:
        return []
    chance = readable(term.chance)
    evidence = Evidence(
        text=_EVIDENCE(skill=skill.value, low=skill.low, held=carried, count=int(held.size)),
        signal=signals.EVALUATION_LOSS.name,
        label=label,
        value=best,
        expected=_EXPECTED(chance=chance),
    )
    title = _TITLE(training=readable(skill.loss), best=readable(best), chance=chance)
    return [
        RULE.finding(title=title, confidence=0.85, evidence=(evidence,), remedy=_REMEDY(), where=term.where)
    ]


def _same_kind(recording: Recording, term: TermView) -> str | None:
    """The longest held-out series of the loss that is trained on, with enough evaluations of enough samples."""
    kinds = {str(e.get("label")): str(e.get("kind")) for e in recording.events_of("evaluation")}
    for label in held_out_labels(recording):
        held = finite(recording.series(signals.EVALUATION_LOSS, label).values)
        counts = finite(recording.series(signals.EVALUATION_COUNT, label).values)
        enough = held.size >= _EVALUATIONS and (counts.size == 0 or float(np.median(counts)) >= _SAMPLES)
        if enough and kinds.get(label, label).removesuffix("_loss") == term.kind:
            return label
    return None


RULE = Rule(
    code="memorising",
    severity="warning",
    title=Text(en="The training data are learnt by heart", zh="训练数据被死记硬背"),
    judge=judge,
    needs=(signals.LOSS, signals.EVALUATION_LOSS),
    consequences=("overfitting",),
)


def broken() -> Recording:
    """Shuffled labels: the training loss falls to 0.05, the validation loss never below ln 10."""
    return record(falling(), validation=np.linspace(2.31, 5.0, 12))


def healthy() -> Recording:
    """Held-out data are predicted half as well as those that were trained on."""
    return record(falling(), validation=np.concatenate([[2.3, 1.4], np.full(10, 0.7)]))
