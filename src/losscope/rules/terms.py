"""The terms of an objective as rules need them: value over time, chance level, floor."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from losscope.core.finding import NotJudged, Where
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.series import Series
from losscope.rules.statistics.robust import Floats
from losscope.rules.statistics.skill import Skill, skill
from losscope.rules.streams import evenly, events_of, last, progress, updates, values, where


@dataclass(frozen=True, slots=True, kw_only=True)
class TermView:
    """One term of the last anatomy of a stream. ``steps`` and ``values`` are finite and without coefficient.

    ``is_whole_loss``: the loss of every update is this term times its coefficient and nothing else, so that
    the values are as dense as the losses.
    """

    label: str
    kind: str
    coefficient: float
    reduction: str
    options: dict[str, Any]
    notes: tuple[str, ...]
    floor: float | None
    chance: float | None
    chance_error: float
    steps: np.ndarray[Any, np.dtype[np.int64]]
    values: Floats
    is_whole_loss: bool
    updates: int
    prediction: dict[str, Any] = field(default_factory=dict)
    where: Where | None = None

    @property
    def span(self) -> float | None:
        """Chance − floor, the natural scale of the term, where both are known and in order."""
        if self.chance is None or self.floor is None or not self.chance > self.floor:
            return None
        return self.chance - self.floor

    @property
    def unit(self) -> str:
        """ " nats" for log-losses, else nothing."""
        logarithmic = ("cross_entropy", "nll", "bce", "kl_div", "gaussian_kl", "ctc")
        return " nats" if any(name in self.kind for name in logarithmic) and self.reduction != "sum" else ""

    def recent(self, share: float = 0.2) -> Floats:
        """The values of the last ``share`` of the run; empty where the watch took no sample there."""
        return self.values[self.steps >= (1.0 - share) * self.updates]

    def skill(self) -> Skill | None:
        """Skill over the last fifth of the run with its interval.

        ``None`` where chance is unknown or fewer than three values are known there.
        """
        recent = self.recent()
        if self.chance is None or recent.size < 3:
            return None
        return skill(recent, self.chance, self.chance_error)


def terms(recording: Recording, stream: str) -> list[TermView]:
    """Terms of the last anatomy of the stream, in order; empty where no anatomy was recorded."""
    anatomies = events_of(recording, "anatomy", stream)
    if not anatomies:
        return []
    event = anatomies[-1]
    listed = event.get("terms") or []
    return [_view(recording, stream, event, index) for index in range(len(listed))]


def judged_terms(recording: Recording, minimum: int = 30) -> list[TermView] | NotJudged:
    """Terms of the main stream where its value may be judged (see :func:`losscope.rules.streams.progress`)."""
    stream = progress(recording, minimum)
    return stream if isinstance(stream, NotJudged) else terms(recording, stream)


def natural_scale(recording: Recording, stream: str) -> float | None:
    """Chance − floor of the loss itself, where one term is all of it; else ``None``.

    An accumulated loss is the sum of several backward roots: then the term counts as often as there are
    backward passes in an update, provided that the recorded losses agree with that within 30 %.
    """
    found = terms(recording, stream)
    if len(found) != 1 or found[0].span is None:
        return None
    term, span = found[0], found[0].span
    if term.is_whole_loss:
        return span * abs(term.coefficient)
    loss = recording.series(signals.LOSS, stream)
    shared, ours, theirs = np.intersect1d(loss.steps, term.steps, return_indices=True)
    if shared.size == 0:
        return None
    backwards = values(recording, signals.BACKWARDS, stream)
    times = float(np.median(backwards)) if backwards.size else 1.0
    expected = term.coefficient * times * term.values[theirs]
    known = np.isfinite(loss.values[ours]) & (expected != 0)
    ratio = float(np.median(loss.values[ours][known] / expected[known])) if known.any() else 0.0
    return span * abs(term.coefficient) * times if 0.7 < ratio < 1.3 else None


def _view(recording: Recording, stream: str, event: dict[str, Any], index: int) -> TermView:
    term, count = event["terms"][index], len(event["terms"])
    label = f"{stream}/{index}"
    coefficient = _number(term.get("coefficient"), 1.0)
    sampled = _since(recording.series(signals.TERM_VALUE, label), event.get("step"))
    dense = _dense(sampled, evenly(recording.series(signals.LOSS, stream)), coefficient, count)
    series = dense or sampled
    kept = np.isfinite(series.values)
    floor = last(recording, signals.TERM_FLOOR, label)
    return TermView(
        label=label,
        kind=str(term.get("kind", "unknown")),
        coefficient=coefficient,
        reduction=str(term.get("reduction") or "none"),
        options=dict(term.get("options") or {}),
        notes=tuple(str(note) for note in term.get("notes") or ()),
        floor=floor if floor is not None else _optional(term.get("floor")),
        chance=last(recording, signals.TERM_CHANCE, label),
        chance_error=last(recording, signals.TERM_CHANCE_ERROR, label) or 0.0,
        steps=series.steps[kept],
        values=series.values[kept],
        is_whole_loss=dense is not None,
        updates=updates(recording, stream),
        prediction=dict(term.get("prediction") or {}),
        where=where(event),
    )


def _since(series: Series, step: Any) -> Series:
    """Records from the step of the last anatomy on: before it, the label stood for another term."""
    if not isinstance(step, int) or len(series) == 0:
        return series
    kept = series.steps >= step
    return Series(series.steps[kept], series.values[kept])


def _dense(sampled: Series, loss: Series, coefficient: float, count: int) -> Series | None:
    """Every loss divided by the coefficient where that *is* the term; ``None`` where it is not.

    A single term is the loss up to its coefficient, but not where the backward roots of an accumulated
    update were summed; so the sampled values must agree to 1e-3 wherever both were recorded.
    """
    if count != 1 or coefficient == 0.0:
        return None
    _, ours, theirs = np.intersect1d(loss.steps, sampled.steps, return_indices=True)
    scaled = loss.values / coefficient
    if ours.size == 0 or not np.allclose(
        scaled[ours], sampled.values[theirs], rtol=1e-3, atol=1e-9, equal_nan=True
    ):
        return None
    return Series(loss.steps, scaled)


def _number(value: Any, default: float) -> float:
    found = _optional(value)
    return default if found is None else found


def _optional(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
