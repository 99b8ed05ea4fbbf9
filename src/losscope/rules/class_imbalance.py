"""``class-imbalance``: one class is so frequent that the model only ever answers with it.

**What it says.** All predictions are of one class while the targets are not, and the loss is that of the best
constant answer: a high accuracy that means nothing.

**Statistic.** The most frequent predicted class has all samples of every look in the second half of the run; the
entropy of the class frequencies is below 70 % of ln K for the K classes seen (81 : 19 of two); the loss is at chance
by the test of ``loss-at-chance``, or may be and predictions fit their targets no better than permuted ones;
predictions differ between samples and the parameters have moved, so that the model is alive. Where the loss is below
chance, it is context only: probabilities are learnt, and a threshold is missing.

**Source.** He and Garcia (2009), doi:10.1109/TKDE.2008.239. That the loss of the best constant answer is the entropy
of the frequencies: Cover and Thomas (2006), section 2.

**Example.** 2 % of positives: accuracy 98 %, loss 0.098 nats = the entropy of the labels.

**Remedy.** Weigh the classes (``weight=``, ``pos_weight=``), or draw them evenly with ``WeightedRandomSampler``;
judge by the loss against chance, or by balanced accuracy.

**False alarms.** Imbalanced data that are learnt are silent. Silent for balanced classes, and for models that stand
still or are dead, whose answer is one class for another reason.
"""

import math

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import LONG_ENOUGH, long_enough
from losscope.rules.labels_unrelated import FITS, in_motion
from losscope.rules.loss_at_chance import at_chance
from losscope.rules.planted import Planted, PlantedTerm, every, flat, record
from losscope.rules.reasons import no_series, too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import progress, updates
from losscope.rules.terms import TermView, data_terms, late_values
from losscope.rules.training_data import class_table

_UNEVEN, _LOOKS, _ONE, _NEAR = 0.7, 3, 1 - 1e-6, 0.05
_TITLE = Text(
    en="Only one class is ever predicted, the one that {share:.0%} of the targets have",
    zh="模型只预测一个类别，而该类别占目标的 {share:.0%}",
)
_EVIDENCE = Text(
    en="all predictions of {count} batches are one class; the targets have {classes} classes, the most frequent with "
    "{share:.1%}, and an entropy of {entropy:.3g} nats",
    zh="{count} 个批次的预测全部为同一类别；目标共有 {classes} 个类别，最常见的占 {share:.1%}，熵为 {entropy:.3g} nats",
)
_EXPECTED = Text(en="below 1: other classes are predicted too", zh="小于 1：也预测其他类别")
_REMEDY = Text(
    en="Weigh the classes in the loss (weight=, or pos_weight= for two classes), or draw them evenly with a "
    "WeightedRandomSampler. Accuracy says nothing here: compare the loss with chance.",
    zh="在损失中为类别加权（weight=，二分类用 pos_weight=），或用 WeightedRandomSampler 均衡抽样。"
    "此处准确率没有意义：请将损失与随机水平比较。",
)
_REMEDY_THRESHOLD = Text(
    en="The loss is below chance, so the probabilities tell something: choose a threshold below one half for the "
    "rare class.",
    zh="损失低于随机水平，说明概率有信息：请为稀有类别选择低于 0.5 的阈值。",
)


def judge(recording: Recording) -> Outcome:
    stream = progress(recording)
    if isinstance(stream, NotJudged):
        return stream
    judged = data_terms(recording, stream)
    if len(judged) != 1 or not len(recording.series(signals.PREDICTION_TOP, judged[0].label)):
        return no_series(signals.PREDICTION_TOP.name)
    if not long_enough(recording, stream):
        return too_few(updates(recording, stream), LONG_ENOUGH)
    term = judged[0]
    top, counts = (
        late_values(recording, signals.PREDICTION_TOP, term),
        class_table(recording, term.label).sum(0),
    )
    frequencies = counts[counts > 0] / counts.sum() if counts.sum() > 0 else counts
    if top.size < _LOOKS or float(top.min()) < _ONE or frequencies.size < 2:
        return []
    entropy = float(-(frequencies * np.log(frequencies)).sum())
    if entropy > _UNEVEN * math.log(frequencies.size) or not in_motion(recording, stream, term):
        return []
    stuck, share = _at_chance(recording, term), float(frequencies.max())
    evidence = Evidence(
        text=_EVIDENCE(count=int(top.size), classes=int(frequencies.size), share=share, entropy=entropy),
        signal=signals.PREDICTION_TOP.name,
        label=term.label,
        value=1.0,
        expected=_EXPECTED(),
    )
    return [
        RULE.finding(
            title=_TITLE(share=share),
            severity="warning" if stuck else "info",
            confidence=0.8,
            evidence=(evidence,),
            remedy=_REMEDY() if stuck else _REMEDY_THRESHOLD(),
            where=term.where,
        )
    ]


def _at_chance(recording: Recording, term: TermView) -> bool:
    """The loss is at chance for sure; or it may be, and predictions fit no better than permuted ones."""
    if at_chance(recording, term) is not None:
        return True
    found, scores = term.skill(), late_values(recording, signals.PAIRING, term)
    return (
        found is not None
        and found.low <= _NEAR
        and scores.size >= _LOOKS
        and float(scores.sum() / np.sqrt(scores.size)) <= FITS
    )


RULE = Rule(
    code="class-imbalance",
    severity="warning",
    title=Text(en="Only one class is ever predicted", zh="模型只预测一个类别"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("loss-at-chance", "overfitting", "plateau-above-floor"),
)


def broken() -> Recording:
    """One in ten is positive: the loss is the entropy of 0.325, and every prediction is negative."""
    return _planted(0.325, 1.0)


def healthy() -> Recording:
    """The same data, learnt."""
    return _planted(0.15, 0.91)


def _planted(level: float, top: float) -> Recording:
    series: Planted = {
        (signals.TARGET_CLASS, "0/0/0"): every(20, 600, 58.0),
        (signals.TARGET_CLASS, "0/0/1"): every(20, 600, 6.0),
        (signals.PREDICTION_TOP, "0/0"): every(20, 600, top),
        (signals.PREDICTION_SPREAD, "0/0"): every(20, 600, 0.5),
        (signals.UPDATE_RATIO, "0"): every(20, 600, 0.01),
    }
    term = PlantedTerm(chance=0.325, chance_error=0.004, contract={"task": "multi-class", "unit": "nats"})
    return record(flat(level=level), terms=[term], series=series)
