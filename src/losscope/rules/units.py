"""Shares of units of a layer, as recorded at sampled updates, in the order of the layers."""

from dataclasses import dataclass

import numpy as np

from losscope.core.finding import NotJudged
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.signals import Signal
from losscope.rules.deficit import Deficit, learning_deficit, long_enough
from losscope.rules.statistics.batch_means import change
from losscope.rules.statistics.robust import finite
from losscope.rules.streams import events_of, losses, main_stream, values

HALF, NEARLY_ALL = 0.5, 0.9
_FALLS = 0.05  # of the median loss
ENOUGH = 3
"""Samples of a layer."""


@dataclass(frozen=True, slots=True)
class Share:
    """One layer: the median share of units over the last half of the samples, and the first update at which it was as
    high as half of that."""

    name: str
    share: float
    since: int
    from_the_start: bool


def in_order(recording: Recording, stream: str, signal: Signal) -> list[str]:
    """Labels of a signal in the order in which the optimiser holds the parameters, which is that of the layers."""
    held = [str(n) for e in events_of(recording, "optimizer", stream) for n in e.get("parameters") or ()]
    recorded = recording.labels(signal)
    return [n for n in dict.fromkeys([*held, *recorded]) if n in recorded]


def shares(recording: Recording, stream: str, signal: Signal) -> list[Share]:
    """Every layer with at least three samples, first layer first."""
    found = []
    for name in in_order(recording, stream, signal):
        series = recording.series(signal, name)
        if finite(series.values).size < ENOUGH:
            continue
        share = float(np.nanmedian(series.values[len(series.values) // 2 :]))
        high = np.flatnonzero(series.values >= share / 2)
        since = int(high[0]) if share > 0 and high.size else 0
        found.append(Share(name, share, int(series.steps[since]), since == 0))
    return found


def no_data(recording: Recording) -> bool:
    """The data that the first layer got were zeros, or the same for all samples: no fault of its units."""
    spreads = [values(recording, signals.INPUT_SPREAD, s) for s in recording.labels(signals.INPUT_SPREAD)]
    if any(spread.size and not spread.max() > 0 for spread in spreads):
        return True
    labels = recording.labels(signals.INPUT_LARGEST)
    found = [values(recording, signals.INPUT_LARGEST, label) for label in labels]
    return any(largest.size and not np.median(largest) > 0 for largest in found)


def lasting_deficit(recording: Recording) -> Deficit | NotJudged | None:
    """The learning deficit; ``None`` at chance too soon, or while the loss over the second half still falls."""
    deficit = learning_deficit(recording)
    stream = main_stream(recording)
    if deficit != "at-chance" or stream is None:
        return deficit
    curve = losses(recording, stream)
    moved = change(curve[len(curve) // 2 :])
    falls = moved is not None and moved.high < 0 and -moved.value > _FALLS * abs(float(np.median(curve)))
    return deficit if long_enough(recording, stream) and not falls else None


def layer_of(name: str) -> str:
    """``"encoder.fc1.weight"`` → ``"encoder.fc1"``."""
    return name.removesuffix(".weight")
