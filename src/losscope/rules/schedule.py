"""Learning-rate schedulers as rules see them, and the learning rate over the run."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from losscope.core.finding import Where
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.streams import events_of, updates, values, where

_TO_THE_END = ("OneCycleLR", "CosineAnnealingLR", "PolynomialLR", "LinearLR")
"""Schedulers whose horizon is meant to be the whole run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """One scheduler of a stream. ``steps`` that it made, ``horizon`` that it was made for where it has one.

    ``counted`` is false for a class that steps in its own way, whose steps are not known.
    """

    name: str
    steps: int
    horizon: float | None
    counted: bool
    floor: float
    made: Where | None
    stepped: Where | None


def schedulers(recording: Recording, stream: str) -> list[Scheduler]:
    """Schedulers that the script itself steps: not those inside another one."""
    events = events_of(recording, "scheduler", stream)
    inner = {label for event in events for label in event.get("holds") or ()}
    return [_view(recording, stream, e) for e in events if str(e.get("scheduler")) not in inner]


def _view(recording: Recording, stream: str, event: dict[str, Any]) -> Scheduler:
    label = str(event.get("scheduler"))
    counts = values(recording, signals.SCHEDULER_STEPS, f"{stream}/{label}")
    name = str(event.get("name"))
    horizon = next((event[k] for k in ("total_steps", "T_max", "total_iters") if event.get(k)), None)
    steps = (where(e) for e in events_of(recording, "scheduler-step", stream) if e.get("scheduler") == label)
    return Scheduler(
        name=name,
        steps=int(counts.max()) if counts.size else 0,
        horizon=float(horizon) if horizon is not None and name in _TO_THE_END else None,
        counted=bool(event.get("counted")),
        floor=float(event.get("eta_min") or 0.0),
        made=where(event),
        stepped=next(steps, None),
    )


def last_above(recording: Recording, stream: str, share: float) -> tuple[int, float] | None:
    """The update from which on every learning rate stays at or below ``share`` of its largest; and that largest.

    ``None`` where it ends above, or where no rate was recorded. Of several groups the last one to fall counts.
    """
    ends, largest = [], 0.0
    for label in recording.labels(signals.LEARNING_RATE):
        series = recording.series(signals.LEARNING_RATE, label)
        if label.split("/")[0] != stream or not len(series) or not series.values.max() > 0:
            continue
        high = np.flatnonzero(series.values > share * series.values.max())[-1]
        if high == len(series) - 1:
            return None
        ends.append(int(series.steps[high + 1]))
        largest = max(largest, float(series.values.max()))
    return (max(ends), largest) if ends else None


def is_constant(recording: Recording, stream: str) -> bool:
    """No learning rate of the stream ever changed."""
    labels = [label for label in recording.labels(signals.LEARNING_RATE) if label.split("/")[0] == stream]
    return bool(labels) and all(np.ptp(values(recording, signals.LEARNING_RATE, x)) == 0 for x in labels)


def lowest_rate(recording: Recording, stream: str) -> int | None:
    """The update at which the main group's learning rate was lowest after its peak; ``None`` where it is at the end."""
    series = recording.series(signals.LEARNING_RATE, f"{stream}/0")
    if len(series) < 3:
        return None
    peak = int(np.argmax(series.values))
    after = series.values[peak:]
    at = peak + int(np.argmin(after))
    if at >= len(series) - 1 or series.steps[at] > 0.95 * updates(recording, stream):
        return None
    return int(series.steps[at])
