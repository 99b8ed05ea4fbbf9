"""A rise of the loss that is large and lasts: what divergence, and everything gated on it, rests on."""

import math
from dataclasses import dataclass

import numpy as np

from losscope.core.finding import NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.statistics.batch_means import change
from losscope.rules.statistics.cusum import departure
from losscope.rules.statistics.robust import Floats, block_medians, difference_scale
from losscope.rules.streams import losses, progress, values
from losscope.rules.terms import natural_scale, terms

REGAINED, REGAINED_SHORT, SHORT = 0.5, 1.0, 200
"""Share of the fall that must be lost again. Warm restarts lose under a third (Loshchilov and Hutter, 2017).
Runs shorter than 200 updates have no blocks to average over: they must end above their start."""
FAR_ABOVE = 2.0
"""Ending more than twice the fall above the best level: no recovery is waited for."""
NOISE = 20.0
"""A loss that never fell must rise by this many standard deviations of its own update-to-update noise."""
NOISE_SHORT = 10.0
"""In runs below 200 updates every rise must exceed ten: their slow noise cannot be averaged out."""
SHARE_OF_SCALE = 0.2
"""Where chance − floor is known, a rise below a fifth of it is no divergence."""
SHORTEST = 20
"""Fewer values than the trend test needs have no last fifth worth the name."""
FAR_RATIO, FAR_NOISE, FAR_FIRST = 100.0, 4.0, 3
"""A positive loss that ends a hundredfold above its first three values, by four standard deviations of its own
relative noise, has exploded even where its last values jump about too wildly for any test of absolute size.
On 24,000 healthy runs (``benchmarks/calibration/far_rise.py``) the largest such ratio was 8.9."""
ROUNDING = 1e-6
"""Where the chance level is unknown, a start below this is a zero up to float32 rounding (a student that began as
a copy of its teacher, the distance to a reference model): from there every loss rises, and no ratio has a meaning."""

_MOVING_TARGETS = Text(
    en="the targets change with training (their spread from {before:.3g} to {after:.3g}), as in "
    "bootstrapped values, so that a rising loss need not be a fault",
    zh="目标值随训练变化（离散程度从 {before:.3g} 变为 {after:.3g}），如自举价值，因此损失上升不一定是错误",
)


@dataclass(frozen=True, slots=True)
class LastingRise:
    """Levels of the loss at the start, at its best and at the end; ``onset`` is the index of the alarm."""

    start: float
    best: float
    end: float
    onset: int


def lasting_rise(recording: Recording, stream: str) -> LastingRise | NotJudged | None:
    """The rise of the main stream's loss, ``None`` where there is none, or why it may not be judged."""
    judged = progress(recording)
    if isinstance(judged, NotJudged):
        return judged
    moved = moving_targets(recording, stream)
    if moved is not None:
        return NotJudged(_MOVING_TARGETS(before=moved[0], after=moved[1]))
    return rise_of(losses(recording, stream), natural_scale(recording, stream))


def rise_of(curve: Floats, scale: float | None = None) -> LastingRise | None:
    """The lasting rise of one curve. Unchanged under L → aL + b when ``scale`` is ``None`` (or scaled too).

    All must hold: the CUSUM alarms; at least half of the fall is lost again; the rise is no recovery in
    progress; and it is large against the scale of the loss or, for a loss that never fell, its noise. A
    positive loss may instead lie far above its start as a ratio (:func:`far_rise`).
    """
    far = far_rise(curve, scale)
    if far is not None:
        return far
    seen = departure(curve)
    least = REGAINED if len(curve) >= SHORT else REGAINED_SHORT
    if seen is None or not seen.alarm or seen.regained < least:
        return None
    risen = seen.end - seen.best
    noise = difference_scale(curve)
    fallen = seen.start - seen.best
    if scale is not None and risen < SHARE_OF_SCALE * scale:
        return None
    if fallen < 3 * noise and risen < NOISE * noise:
        return None
    if len(curve) < SHORT and risen < NOISE_SHORT * noise:
        return None
    if seen.regained < FAR_ABOVE and _recovering(curve, seen.best, seen.end):
        return None
    return LastingRise(seen.start, seen.best, seen.end, seen.onset)


def far_rise(curve: Floats, scale: float | None = None) -> LastingRise | None:
    """The rise of a positive loss by a factor, from the very first updates on; unchanged under L → aL.

    With y = ln L, the level that four fifths of the last fifth lie above must exceed the median of the first
    three values by ln 100 and by four robust standard deviations of the differences of y, which grow with the
    loss as its noise does; and the last fifth must not be falling.
    """
    if len(curve) < SHORTEST or not float(curve.min()) > 0.0:
        return None
    y = np.log(curve)
    start, tail = float(np.median(y[:FAR_FIRST])), y[-max(SHORTEST // 2, len(y) // 5) :]
    end = float(np.quantile(tail, 0.2))
    if end - start < max(math.log(FAR_RATIO), FAR_NOISE * difference_scale(y)):
        return None
    if math.exp(start) < ROUNDING if scale is None else math.exp(end) - math.exp(start) < scale:
        return None
    moved = change(tail)
    if moved is not None and moved.high < -0.1 * (end - start):
        return None
    onset = int(np.argmax(y > (start + end) / 2))
    return LastingRise(math.exp(start), math.exp(start), math.exp(end), onset)


def moving_targets(recording: Recording, stream: str) -> tuple[float, float] | None:
    """Spread of the targets early and late, where it has more than doubled: bootstrapped targets, not data."""
    for term in terms(recording, stream):
        spread = values(recording, signals.TARGET_STD, term.label)
        third = max(1, spread.size // 3)
        if spread.size >= 3:
            before, after = float(np.median(spread[:third])), float(np.median(spread[-third:]))
            if after > 2 * before > 0 or (before == 0 and after > 0):
                return before, after
    return None


def _recovering(curve: Floats, best: float, end: float) -> bool:
    """Half of the highest rise is already undone, or the last fifth is falling significantly."""
    blocks = block_medians(curve, 200)
    lowest = int(np.argmin(blocks))
    peak = float(blocks[lowest:].max())
    if peak - end > 0.5 * (peak - best):
        return True
    moved = change(curve[-max(20, len(curve) // 5) :])
    return moved is not None and moved.high < -0.1 * (end - best)
