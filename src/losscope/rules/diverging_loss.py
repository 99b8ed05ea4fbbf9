"""``diverging-loss``: the loss left its best level for good.

**What it says.** From the named update on the loss rises, has lost at least half of what training had gained
(or rises from the very start), and does not come back.

**Statistic.** A one-sided CUSUM (k = 0.5, h = 8) on the robust z-score of the logarithm of block medians,
against the lowest stretch of the run (:mod:`losscope.rules.statistics.cusum`). The alarm alone is not enough:
half of the fall must be lost again (all of it in runs below 200 updates), the last fifth must not be on its way
back, and a loss that never fell must rise by 20 standard deviations of its own update-to-update noise. Unchanged
when the loss is multiplied by a positive number or a constant is added. A positive loss that ends a hundredfold
above its first values, beyond its relative noise, diverges in any case
(:func:`losscope.rules.lasting_rise.far_rise`).

**Source.** Page (1954), doi:10.1093/biomet/41.1-2.100. Size of a warm restart's bump: Loshchilov and Hutter
(2017), arXiv:1608.03983. False-alarm rate: ``benchmarks/calibration``.

**Example.** SGD with a learning rate of 10 on a small network: 2.3, 5.1, 48, 900 …

**Remedy.** Divide the learning rate by 10, or clip the gradient norm; if one batch starts the rise, look at it.

**False alarms.** Silent on warm restarts, single spikes, a second task that starts high and is learnt,
objectives trained in alternation (GANs), values that are no progress, and losses whose targets change with
training (bootstrapped values in reinforcement learning).
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.lasting_rise import lasting_rise
from losscope.rules.numbers import readable
from losscope.rules.planted import falling, normal, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream

_TITLE = Text(
    en="The loss diverges: from update {onset} on it rose from {best} to {end}",
    zh="损失发散：从第 {onset} 次更新起，由 {best} 升到 {end}",
)
_EVIDENCE = Text(
    en="the loss began at {start}, was {best} at its best and ended at {end}",
    zh="损失从 {start} 开始，最低为 {best}，结束时为 {end}",
)
_EXPECTED = Text(en="a loss that stays near its best level", zh="损失保持在最低水平附近")
_REMEDY = Text(
    en="Divide the learning rate by 10, or clip before the update: "
    "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).",
    zh="把学习率除以 10，或在更新前裁剪梯度：torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    rise = lasting_rise(recording, stream or "0")
    if isinstance(rise, NotJudged):
        return rise
    if rise is None:
        return []
    series = recording.series(signals.LOSS, stream or "0")
    steps = series.steps[np.isfinite(series.values)]
    onset = int(steps[min(rise.onset, len(steps) - 1)])
    best, end = readable(rise.best), readable(rise.end)
    evidence = Evidence(
        text=_EVIDENCE(start=readable(rise.start), best=best, end=end),
        signal=signals.LOSS.name,
        label=stream or "0",
        value=rise.end,
        expected=_EXPECTED(),
        steps=(onset,),
    )
    title = _TITLE(onset=onset, best=best, end=end)
    return [RULE.finding(title=title, confidence=0.95, evidence=(evidence,), remedy=_REMEDY())]


RULE = Rule(
    code="diverging-loss",
    severity="error",
    title=Text(en="The loss diverges", zh="损失发散"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("loss-at-chance", "non-finite", "plateau-above-floor"),
)


def broken() -> Recording:
    """The loss falls for 300 updates, then rises past its start."""
    loss = falling(600)
    loss[300:] = loss[299] * np.exp(np.arange(300) / 60) * np.exp(0.1 * normal(300, 1))
    return record(loss)


def healthy() -> Recording:
    """Cosine annealing with warm restarts: the loss jumps at updates 200 and 400 and falls again."""
    cycle = 0.1 + 0.5 * (1 + np.cos(np.pi * (np.arange(600) % 200) / 200)) * 0.4
    return record((cycle + 1.8 * np.exp(-np.arange(600) / 40)) * np.exp(0.1 * normal(600, 2)))
