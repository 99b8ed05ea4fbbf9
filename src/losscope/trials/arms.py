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
from scipy.special import stdtrit

from losscope.trials.replay import OutOfTime, Replay
from losscope.trials.training import Change, Mode, Training

TWICE = 1 / 3  # the effect of falling twice as far
UPDATES, _LEAST = 32, 8
_LOOK = 0.5  # of the time of an update, for a look at one batch
_PART = 0.8  # of the time that is left may be planned with
_LOOKS = 4  # points of a curve after the first
_LEVEL = 0.95

Start = Callable[[], object]


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """Losses of the judged batches before and after [starts × batches]; falls of the learnt ones; the mean curve.

    ``moved`` is the distance between the parameters before and after, relative to their norm before.
    """

    first: np.ndarray
    last: np.ndarray
    learnt: np.ndarray
    curve: list[float]
    moved: float

    @property
    def level(self) -> tuple[str, str]:
        """Mean loss before and after, in words."""
        before, after = (float(np.mean(values)) for values in (self.first, self.last))
        return f"{before:.4g}", f"{after:.4g}" if math.isfinite(after) else "∞"

    @property
    def falls(self) -> tuple[float, float, float]:
        """Mean fall of the loss with its interval."""
        return interval(self.first - self.last)


@dataclass(frozen=True, slots=True)
class Effect:
    """e with its interval, and in words."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f}, 95 % {self.low:.2f} … {self.high:.2f}"

    @property
    def interval(self) -> tuple[float, float]:
        return self.low, self.high


def effect(baseline: Arm, changed: Arm) -> Effect:
    """The effect of a change. An arm whose loss is no longer finite has fallen less than one whose loss is."""
    fine = [bool(np.isfinite(arm.last).all()) for arm in (baseline, changed)]
    if not all(fine):
        value = float(fine[1]) - float(fine[0])
        return Effect(value, value, value)
    mean, low, high = interval(baseline.last - changed.last)
    size = abs(baseline.falls[0]) + abs(changed.falls[0])
    if not size:
        return Effect(0.0, 0.0, 0.0)
    return Effect(*(min(1.0, max(-1.0, v / size)) for v in (mean, low, high)))


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of the values with its interval (Student's t, 95 %)."""
    values = values.astype(np.float64).ravel()
    if not np.isfinite(values).all():
        return -math.inf, -math.inf, -math.inf
    mean = float(values.mean())
    if values.size < 2:
        return mean, -math.inf, math.inf
    half = float(stdtrit(values.size - 1, 0.5 + _LEVEL / 2)) * float(values.std(ddof=1))
    half /= math.sqrt(values.size)
    return mean, mean - half, mean + half


def compare(
    replay: Replay,
    changes: Mapping[str, Change],
    starts: Sequence[Start],
    *,
    updates: int,
    judge: Mode = nullcontext,
) -> dict[str, Arm]:
    """Every arm from every start. ``judge`` surrounds the evaluations of all arms. Leaves the replay where it began."""
    places = list(range(replay.proved))
    learn, odd = places[0::2], places[1::2]
    try:
        return {
            name: _arm(replay, change, starts, learn, odd, updates, judge) for name, change in changes.items()
        }
    finally:
        replay.restore()


def affordable(
    replay: Replay, arms: int, starts: Sequence[Start], updates: int = UPDATES
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
    first, last, learnt, curves, moved = [], [], [], [], []
    for seed, start in enumerate(starts):
        start()
        began = replay.theta()
        looks = [replay.values(judge, odd)]
        learnt.append(replay.values(judge, learn))
        training = Training(replay, change, seed, learn)
        for piece in range(_LOOKS):
            training.go(updates * (piece + 1) // _LOOKS - updates * piece // _LOOKS)
            looks.append(replay.values(judge, odd))
        learnt[-1] = [a - b for a, b in zip(learnt[-1], replay.values(judge, learn), strict=True)]
        moved.append(float((replay.theta() - began).norm() / began.norm().clamp(min=1e-30)))
        first.append(looks[0])
        last.append(looks[-1])
        curves.append([float(np.mean(look)) for look in looks])
    mean = np.mean(np.asarray(curves), axis=0).tolist()
    return Arm(np.asarray(first), np.asarray(last), np.asarray(learnt), mean, float(np.mean(moved)))
