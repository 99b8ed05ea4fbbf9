"""``loss-spikes``: again and again the loss jumps up and comes back only after several updates.

**What it says.** Single updates throw the weights off, and training spends a part of the run on winning back what it
had. A jump that lasts for one batch only is a hard batch, and not counted.

**Statistic.** The logarithm of the loss (the loss itself where its zero is not known to mean anything, or where it is
not positive) against its running median over a tenth of the run, in units of 1.4826 · median absolute deviation. A
spike begins above 8 units and a factor of 1.5, lasts as long as it stays above 4, for three to n/40 updates, and ends
at the level from before it (within 3 units). *Warning* from three spikes on that take up a tenth of the updates, else
*info* from one on.

**Source.** Robust z-scores: Iglewicz and Hoaglin (1993). Spikes of Adam: Molybog et al. (2023), arXiv:2304.09871.

**Example.** Adam with ``betas=(0.9, 0.999)`` and a high rate: 0.1, 0.1, 2.4, 1.6, 0.9, 0.4, 0.1 again
and again.

**Remedy.** Clip the gradient norm, lower the learning rate by 3, or lower Adam's second beta to 0.95.

**False alarms.** Never a complaint about few spikes that training survives, about hard batches, warm restarts, new
tasks or heavy-tailed noise.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import falling, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats, mad_scale
from losscope.rules.streams import line_of, loss_series, progress
from losscope.rules.terms import natural_scale

_MIN, _BEGIN, _STAY, _BACK, _FACTOR = 100, 8.0, 4.0, 3.0, 1.5
_OFTEN, _COSTLY = 3, 0.1
_TITLE = Text(
    en="The loss spikes {count} times; {percent:.0f} % of the updates go into coming back",
    zh="损失出现 {count} 次尖峰；{percent:.0f}% 的更新用于恢复",
)
_EVIDENCE = Text(
    en="the first at update {first}; the highest is {times:.2g} times the level around it",
    zh="第一次在第 {first} 次更新；最高为周围水平的 {times:.2g} 倍",
)
_EVIDENCE_NOISE = Text(
    en="the first at update {first}; the highest rises {times:.2g} times the usual scatter above the level around it",
    zh="第一次在第 {first} 次更新；最高超出周围水平 {times:.2g} 倍的通常波动",
)
_EXPECTED = Text(en="no spikes that take several updates to go", zh="没有需要多次更新才能恢复的尖峰")
_REMEDY = Text(
    en="Clip before every update: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0), or divide the learning "
    "rate by 3.",
    zh="每次更新前裁剪：torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)，或把学习率除以 3。",
)


def judge(recording: Recording) -> Outcome:
    stream = progress(recording, minimum=_MIN)
    if isinstance(stream, NotJudged):
        return stream
    series = loss_series(recording, stream)
    ratios = natural_scale(recording, stream) is not None and bool(series.values.min() > 0)
    found = spikes_of(series.values, ratios=ratios)
    if not found:
        return []
    share = sum(end - begin for begin, end, _ in found) / len(series)
    costly = len(found) >= _OFTEN and share >= _COSTLY
    evidence = Evidence(
        text=(_EVIDENCE if ratios else _EVIDENCE_NOISE)(
            first=int(series.steps[found[0][0]]), times=max(height for _, _, height in found)
        ),
        signal=signals.LOSS.name,
        label=stream,
        value=float(len(found)),
        expected=_EXPECTED(),
        steps=tuple(int(series.steps[begin]) for begin, _, _ in found[:10]),
    )
    return [
        RULE.finding(
            title=_TITLE(count=len(found), percent=100 * share),
            severity="warning" if costly else "info",
            confidence=0.8,
            evidence=(evidence,),
            remedy=_REMEDY(),
            where=line_of(recording, stream, "optimizer"),
        )
    ]


def spikes_of(curve: Floats, *, ratios: bool = True) -> list[tuple[int, int, float]]:
    """Begin, end and height of every spike that lasts and comes back.

    With ``ratios``, for a loss above zero, heights are ratios to the level around it; without, they are in units of
    the scatter, and the spikes of aL + b are those of L (a > 0).
    """
    n = len(curve)
    if n < _MIN or not np.all(np.isfinite(curve)) or (ratios and not curve.min() > 0):
        return []
    values = np.log(curve) if ratios else curve
    level = _running_median(values, max(51, n // 10) | 1)
    rest = values - level
    scale = mad_scale(rest)
    if not scale > 0:
        return []
    high = rest > max(_BEGIN * scale, np.log(_FACTOR) if ratios else 0.0)
    found, at = [], 0
    while at < n:
        if not high[at]:
            at += 1
            continue
        end = at + 1
        while end < n and rest[end] > _STAY * scale:
            end += 1
        before, after = values[max(0, at - 10) : at], values[end : end + 10]
        lasts = 3 <= end - at <= max(5, n // 40) and before.size >= 5 and after.size >= 5
        if lasts and float(np.median(after) - np.median(before)) < _BACK * scale:
            height = float(rest[at:end].max())
            height = float(np.exp(height)) if ratios else height / scale
            found.append((at, end, height))
        at = end
    return found


def _running_median(values: Floats, width: int) -> Floats:
    """Median of ``width`` values around each; computed at every (width/10)-th and interpolated. O(10 n)."""
    n, half = len(values), width // 2
    centres = np.unique(np.append(np.arange(0, n, max(1, width // 10)), n - 1))
    medians = [float(np.median(values[max(0, c - half) : c + half + 1])) for c in centres]
    return np.interp(np.arange(n), centres, medians)


RULE = Rule(
    code="loss-spikes",
    severity="warning",
    title=Text(en="The loss spikes", zh="损失出现尖峰"),
    judge=judge,
    needs=(signals.LOSS,),
)


def _spiky(n: int, period: int, length: int) -> Floats:
    loss = falling(n, end=0.3, noise=0.05)
    for begin in range(n // 3, n - length, period):
        loss[begin : begin + length] *= 1 + 8 * np.exp(-np.arange(length) / (length / 2))
    return loss


def broken() -> Recording:
    """A spike of eight updates at every fiftieth update."""
    return record(_spiky(800, 50, 10))


def healthy() -> Recording:
    """Two hard batches, gone with the next one."""
    loss = falling(800, end=0.3, noise=0.05)
    loss[[300, 500]] *= 9
    return record(loss)
