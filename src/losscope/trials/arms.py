"""Two or more arms of an experiment, paired: the same starts, the same batches, and one thing changed.

Updates of even places of the window are learnt from, those of odd places are judged by, so that an arm gains nothing by
heart. The effect of a change on how far the loss falls is

    e = (F_c − F_b) / (|F_c| + |F_b|),    F = mean loss at the start − mean loss at the end,

which lies in [−1, 1] and stays the same if the loss is shifted or scaled: ±1/3 is twice as far or half as far. Its
interval is that of the paired differences over judged batches and starts (Student's t, 95 %).
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from scipy import stats

from losscope.trials.replay import OutOfTime, Replay
from losscope.trials.training import Change, Mode, Training

TWICE = 1 / 3  # the effect of falling twice as far
_UPDATES, _LEAST = 32, 8
_LOOK = 0.5  # of the time of an update, for a look at one batch
_PART = 0.8  # of the time that is left may be planned with
_LOOKS = 4  # points of a curve after the first
_LEVEL = 0.95

Start = Callable[[], object]


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """Losses of the judged batches before and after [starts × batches], those of the learnt ones, and the curve."""

    first: np.ndarray
    last: np.ndarray
    learnt: np.ndarray
    curve: list[float]

    @property
    def falls(self) -> tuple[float, float, float]:
        """Mean fall of the loss with its interval."""
        return _interval(self.first - self.last)


@dataclass(frozen=True, slots=True)
class Effect:
    """e with its interval."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        return self.low, self.high


def effect(baseline: Arm, changed: Arm) -> Effect:
    """The effect of a change. An arm whose loss is no longer finite has fallen less than one whose loss is."""
    fine = [bool(np.isfinite(arm.last).all()) for arm in (baseline, changed)]
    if not all(fine):
        value = float(fine[1]) - float(fine[0])
        return Effect(value, value, value)
    mean, low, high = _interval(baseline.last - changed.last)
    size = abs(baseline.falls[0]) + abs(changed.falls[0])
    if not size:
        return Effect(0.0, 0.0, 0.0)
    return Effect(*(min(1.0, max(-1.0, v / size)) for v in (mean, low, high)))


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    values = values.astype(np.float64).ravel()
    if not np.isfinite(values).all():
        return -math.inf, -math.inf, -math.inf
    mean = float(values.mean())
    if values.size < 2:
        return mean, -math.inf, math.inf
    half = float(stats.t.ppf(0.5 + _LEVEL / 2, values.size - 1)) * float(values.std(ddof=1))
    half /= math.sqrt(values.size)
    return mean, mean - half, mean + half


def compare(
    replay: Replay,
    changes: Mapping[str, Change],
    starts: Sequence[Start],
    *,
    updates: int = _UPDATES,
    judge: Mode = nullcontext,
) -> dict[str, Arm]:
    """Every arm from every start. ``judge`` surrounds the evaluations of all arms. Leaves the replay where it began."""
    places = list(range(replay.proved))
    learn, odd = places[0::2], places[1::2]
    starts, updates = _affordable(replay, len(changes), starts, updates)
    try:
        return {name: _arm(replay, change, starts, learn, odd, updates, judge) for name, change in changes.items()}
    finally:
        replay.restore()


def _affordable(
    replay: Replay, arms: int, starts: Sequence[Start], updates: int
) -> tuple[Sequence[Start], int]:
    """Fewer starts, then fewer updates, where the time that is left is short. Raises ``OutOfTime``."""
    looks = (_LOOKS + 1) * replay.proved * _LOOK
    one = arms * replay.seconds
    left = _PART * (replay.deadline - time.perf_counter())
    if one * (updates + looks) * len(starts) > left:
        starts = starts[:1]
    if one * (updates + looks) > left:
        updates = int(left / one - looks)
    if updates < _LEAST:
        raise OutOfTime
    return starts, updates


def _arm(
    replay: Replay,
    change: Change,
    starts: Sequence[Start],
    learn: Sequence[int],
    odd: Sequence[int],
    updates: int,
    judge: Mode,
) -> Arm:
    first, last, learnt, curves = [], [], [], []
    for seed, start in enumerate(starts):
        start()
        looks = [replay.values(judge, odd)]
        learnt.append(replay.values(judge, learn))
        training = Training(replay, change, seed, learn)
        for piece in range(_LOOKS):
            training.go(updates * (piece + 1) // _LOOKS - updates * piece // _LOOKS)
            looks.append(replay.values(judge, odd))
        learnt[-1] = [a - b for a, b in zip(learnt[-1], replay.values(judge, learn), strict=True)]
        first.append(looks[0])
        last.append(looks[-1])
        curves.append([float(np.mean(look)) for look in looks])
    mean = np.mean(np.asarray(curves), axis=0).tolist()
    return Arm(np.asarray(first), np.asarray(last), np.asarray(learnt), mean)
