"""``overfitting``: the validation loss rises while the training loss still falls.

**What it says.** From the named evaluation on the model gets better on what it has seen and worse on what it has
not.

**Statistic.** Paired trend (:mod:`losscope.rules.statistics.paired_trend`): the validation level of the last
evaluations is above the level around its best beyond a one-sided 99.9 % bound, by at least 10 % of what it had
gained, while the training level has not risen. At least six evaluations, three of them after the best. What was
gained counts from the first evaluation or, where the first comes after much was learnt and both losses are of one
scale, from the training loss at the start.

**Source.** Prechelt (1998), doi:10.1007/3-540-49430-8_3. False-alarm rate: ``benchmarks/calibration``.

**Example.** Training loss 0.02, validation loss from 0.40 at epoch 8 to 0.71 at epoch 30.

**Remedy.** Keep the checkpoint of the best evaluation; more data, weight decay, dropout or augmentation.

**False alarms.** Only trends count, not the gap: dropout or augmentation that makes the training loss the larger
one is silent, and so is noise about a flat validation loss.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.series import Series
from losscope.rules.evaluations import held_out_labels
from losscope.rules.numbers import readable
from losscope.rules.planted import falling, normal, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.paired_trend import paired_trend
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import progress

_LEAST_RISE = 0.1
_ONE_SCALE = 3.0
"""A training loss that is more times as high as the first validation loss may not be comparable with it."""
_FIRST = 5
"""Updates of which the median is the loss at the start."""
_NO_HELD_OUT = Text(en="no loss on held-out data was seen", zh="没有观察到留出数据上的损失")
_FEW = Text(
    en="too few evaluations, or too few after the best one, to tell a trend from noise",
    zh="评估次数太少，或最佳评估之后的次数太少，无法区分趋势与噪声",
)
_TITLE = Text(
    en="The model overfits: since update {step} the validation loss rose from {best} to {last}",
    zh="模型过拟合：自第 {step} 次更新起，验证损失从 {best} 升到 {last}",
)
_EVIDENCE = Text(
    en="validation rose by {rise:.3g} (at least {low:.3g} beyond noise) while training changed by {training:.3g}",
    zh="验证损失上升 {rise:.3g}（扣除噪声后至少 {low:.3g}），同期训练损失变化 {training:.3g}",
)
_EXPECTED = Text(en="validation stays at its best, {best}", zh="验证损失保持在最好水平 {best}")
_REMEDY = Text(
    en="Keep the checkpoint of update {step} (early stopping); then add data, augmentation, dropout or weight decay.",
    zh="保留第 {step} 次更新的检查点（早停）；再增加数据、数据增强、dropout 或权重衰减。",
)


def judge(recording: Recording) -> Outcome:
    stream = progress(recording)
    if isinstance(stream, NotJudged):
        return stream
    labels = held_out_labels(recording)
    if not labels:
        return NotJudged(_NO_HELD_OUT())
    findings: list[Finding] = []
    judged = False
    for label in labels:
        series = recording.series(signals.EVALUATION_LOSS, label)
        outcome = _judge_series(series, recording.series(signals.LOSS, stream), label)
        judged |= not isinstance(outcome, NotJudged)
        findings += outcome if isinstance(outcome, list) else []
    return findings[:1] if judged else NotJudged(_FEW())


def _judge_series(validation: Series, loss: Series, label: str) -> Outcome:
    training = training_at(validation.steps, loss)
    found = paired_trend(validation.values, training)
    if found is None:
        return NotJudged(_FEW())
    finite = np.isfinite(validation.values)
    values, steps, training = validation.values[finite], validation.steps[finite], training[finite]
    best, last = float(values.min()), float(values[-max(3, len(values) // 10) :].mean())
    gained = _start(float(values[0]), training, loss) - best
    if not found.diverging or found.rise < _LEAST_RISE * gained:
        return []
    step = int(steps[int(np.argmin(values))])
    evidence = Evidence(
        text=_EVIDENCE(rise=found.rise, low=found.low, training=found.training_change),
        signal=signals.EVALUATION_LOSS.name,
        label=label,
        value=last,
        expected=_EXPECTED(best=readable(best)),
        steps=(step,),
    )
    title = _TITLE(step=step, best=readable(best), last=readable(last))
    return [RULE.finding(title=title, confidence=0.9, evidence=(evidence,), remedy=_REMEDY(step=step))]


def _start(validation: float, training: Floats, loss: Series) -> float:
    """The validation loss before the first update; ``training`` is that between the first evaluations.

    Untrained, a model has the same loss on both sets; the first evaluation often comes after an epoch. A training
    loss that is far above the first evaluation even then is another quantity: a sum, say.
    """
    known = training[np.isfinite(training)][:2]
    if known.size == 0 or not 0 < known.min() < _ONE_SCALE * validation:
        return validation
    first = loss.values[np.isfinite(loss.values)][:_FIRST]
    return max(validation, float(np.median(first)))


def training_at(steps: np.ndarray, loss: Series) -> Floats:
    """Mean training loss between each evaluation and the one before it; ``nan`` where there was no update."""
    edges = np.searchsorted(loss.steps, steps, side="right")
    begins = np.concatenate([[0], edges[:-1]])
    return np.array([_mean(loss.values[a:b]) for a, b in zip(begins, edges, strict=True)])


def _mean(values: Floats) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if kept.size else float("nan")


RULE = Rule(
    code="overfitting",
    severity="warning",
    title=Text(en="The model overfits", zh="模型过拟合"),
    judge=judge,
    needs=(signals.LOSS,),
)


def broken() -> Recording:
    """Validation is best at the eighth of thirty evaluations and rises from there."""
    time = np.arange(30)
    validation = 0.4 + 1.8 * np.exp(-time / 2) + 0.015 * np.maximum(0, time - 8) + 0.01 * normal(30, 5)
    return record(falling(900, end=0.02), validation=validation)


def healthy() -> Recording:
    """Dropout: the training loss stays above the validation loss, and both settle."""
    validation = 0.2 + 1.8 * np.exp(-np.arange(30) / 3) + 0.01 * normal(30, 6)
    return record(falling(900, end=0.4), validation=validation)
