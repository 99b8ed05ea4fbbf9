"""``target-scale``: regression targets are many times larger than what the model puts out, and it does not get there.

**What it says.** A network begins with outputs of about 1. Targets of 1000 ask its last layer to grow a thousandfold:
with small steps it never arrives, with large ones the squared error explodes.

**Statistic.** Root mean square of the targets by that of the predictions at the first look. A finding where the run
has a learning deficit (at chance, no fall) with a ratio above 10 and predictions that are less than half as large as
the targets to the end, or where it diverged or ended in NaN with a ratio above 100.

**Source.** LeCun et al. (1998), Efficient BackProp, doi:10.1007/3-540-49430-8_2, section 4.5 (target values); Bishop
(1995), Neural Networks for Pattern Recognition, section 8.2.

**Example.** House prices of 200,000 with a mean squared error: 4·10¹⁰ at first, and still 3.9·10¹⁰ after 1000
updates.

**Remedy.** ``y = (y - y.mean()) / y.std()`` with mean and deviation of the training data; undo it for reports.

**False alarms.** Silent where the model learns, whatever the scale, and for targets of usual size.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.signals import Signal
from losscope.rules.deficit import learning_deficit
from losscope.rules.numbers import readable
from losscope.rules.planted import Planted, PlantedTerm, every, falling, flat, record
from losscope.rules.reasons import no_loss, no_series
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import main_stream, values
from losscope.rules.terms import TermView, data_terms

_SMALL, _LARGE, _SHORT = 10.0, 100.0, 0.5
_TITLE = Text(
    en="The targets are {ratio} times as large as the first predictions, and the model does not get there",
    zh="目标是最初预测的 {ratio} 倍，模型未能达到",
)
_EVIDENCE = Text(
    en="targets: {mean} ± {deviation}; predictions: {size} at first, {late} at the end (root mean square)",
    zh="目标：{mean} ± {deviation}；预测的均方根：开始时 {size}，结束时 {late}",
)
_EXPECTED = Text(
    en="targets of about the size of the outputs: mean 0, deviation 1",
    zh="目标与输出大小相近：均值 0，标准差 1",
)
_REMEDY = Text(
    en="Standardise the targets with the mean and deviation of the training data: y = (y - mean) / std; undo it "
    "when you "
    "report.",
    zh="用训练数据的均值与标准差对目标标准化：y = (y - mean) / std；报告结果时再还原。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    judged = data_terms(recording, stream)
    if len(judged) != 1 or judged[0].task != "regression":
        return []
    term = judged[0]
    targets, first = (
        _sizes(recording, term, signals.TARGET_MEAN, signals.TARGET_STD),
        _predicted(recording, term),
    )
    if targets.size == 0 or first.size == 0:
        return no_series(signals.TARGET_STD.name, signals.PREDICTION_STD.name)
    size, begins, late = float(np.median(targets)), float(first[0]), float(np.median(first[-3:]))
    if not begins > 0 or not size > _SMALL * begins:
        return []
    deficit = learning_deficit(recording)
    if deficit is None or isinstance(deficit, NotJudged):
        return deficit or []
    blown = deficit in ("non-finite", "diverged")
    if not (size > _LARGE * begins if blown else late < _SHORT * size):
        return []
    mean, deviation = (float(np.median(values(recording, s, term.label))) for s in _TARGET)
    evidence = Evidence(
        text=_EVIDENCE(
            mean=readable(mean), deviation=readable(deviation), size=readable(begins), late=readable(late)
        ),
        signal=signals.TARGET_STD.name,
        label=term.label,
        value=size,
        expected=_EXPECTED(),
    )
    title = _TITLE(ratio=readable(float(f"{size / begins:.1g}")))
    return [
        RULE.finding(title=title, confidence=0.8, evidence=(evidence,), remedy=_REMEDY(), where=term.where)
    ]


_TARGET = (signals.TARGET_MEAN, signals.TARGET_STD)


def _predicted(recording: Recording, term: TermView) -> Floats:
    return _sizes(recording, term, signals.PREDICTION_MEAN, signals.PREDICTION_STD)


def _sizes(recording: Recording, term: TermView, mean: Signal, deviation: Signal) -> Floats:
    """Root mean squares, from means and deviations of the same looks."""
    a, b = (values(recording, s, term.label) for s in (mean, deviation))
    count = min(a.size, b.size)
    return np.hypot(a[:count], b[:count])


RULE = Rule(
    code="target-scale",
    severity="warning",
    title=Text(en="The targets are far larger than the predictions", zh="目标远大于预测"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "clipping-dominates",
        "diverging-loss",
        "exploding-gradient",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "loss-below-chance",
        "non-finite",
        "plateau-above-floor",
    ),
)


def broken() -> Recording:
    """House prices: the loss stays at their mean square, far above their variance."""
    return _planted(flat(level=4.5e10), 1.2)


def healthy() -> Recording:
    """The same prices, learnt: large targets alone are no fault."""
    return _planted(falling(start=4.5e10, end=1e9), 2.0e5)


def _planted(loss: Floats, late: float) -> Recording:
    sizes = np.geomspace(0.5, late, 30)
    series: Planted = {
        (signals.TARGET_MEAN, "0/0"): every(20, 600, 2.0e5),
        (signals.TARGET_STD, "0/0"): every(20, 600, 7.0e4),
        (signals.PREDICTION_MEAN, "0/0"): every(20, 600, sizes),
        (signals.PREDICTION_STD, "0/0"): every(20, 600, 0.3 * sizes),
    }
    term = PlantedTerm(kind="mse", chance=4.9e9, chance_error=1e7, contract={"task": "regression"})
    return record(loss, terms=[term], series=series)
