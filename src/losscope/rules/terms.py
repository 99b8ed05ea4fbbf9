"""The terms of an objective as rules need them: value over time, chance level, floor."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from losscope.core.finding import NotJudged, Where
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.series import Series
from losscope.recording.signals import Signal
from losscope.rules.statistics.robust import Floats, finite
from losscope.rules.statistics.skill import Skill, skill
from losscope.rules.streams import (
    evenly,
    events_of,
    last,
    progress,
    streams,
    updates,
    values,
    values_since,
    where,
)

# For recordings of the first version, in which the terms do not say their task and unit.
_PENALTIES = frozenset({"l1_penalty", "l2_penalty", "norm_penalty"})
_NATS = frozenset(
    {"cross_entropy", "nll", "binary_cross_entropy", "binary_cross_entropy_with_logits"}
    | {"multilabel_soft_margin", "kl_div", "gaussian_kl", "gaussian_nll", "poisson_nll", "ctc", "entropy"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TermView:
    """One term of the last anatomy of a stream. ``steps`` and ``values`` are finite and without coefficient.

    ``is_whole_loss``: the loss of every update is this term times its coefficient and nothing else, so that
    the values are as dense as the losses. ``elements``: what a sum runs over in the batch that was read.
    ``floor`` is the mean over the sampled batches where it depends on their targets (``floor_varies``), whereas
    ``bounds`` holds for every prediction and target that the loss is made for; either end may be unknown.
    ``normaliser`` is the value that the contract counts as 1, such as ln C.
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
    target: dict[str, Any] = field(default_factory=dict)
    where: Where | None = None
    elements: int | None = None
    task: str = ""
    is_nats: bool = False
    normaliser: float | None = None
    bounds: tuple[float | None, float | None] = (None, None)
    floor_varies: bool = False

    @property
    def span(self) -> float | None:
        """Chance − floor, the natural scale of the term, where both are known and in order."""
        if self.chance is None or self.floor is None or not self.chance > self.floor:
            return None
        return self.chance - self.floor

    @property
    def unit(self) -> str:
        """ " nats" for logarithms of probabilities, else nothing; a sum over a batch has no unit of its own."""
        return " nats" if self.is_nats and self.reduction != "sum" else ""

    @property
    def is_data(self) -> bool:
        """Whether the term judges predictions: neither a penalty on parameters nor a constant."""
        return self.task != "penalty" and self.kind != "constant"

    def recent(self, share: float = 0.2) -> Floats:
        """The values of the last ``share`` of the run; empty where the watch took no sample there."""
        return self.values[self.steps >= (1.0 - share) * self.updates]

    def skill(self) -> Skill | None:
        """Skill over the last fifth of the run with its interval; an unknown floor is taken for 0.

        ``None`` where chance is unknown, the term is subtracted, or fewer than three values are known there.
        """
        recent = self.recent()
        if self.chance is None or recent.size < 3 or self.coefficient < 0:
            return None
        return skill(recent, self.chance, self.chance_error, self.floor or 0.0)


def terms(recording: Recording, stream: str) -> list[TermView]:
    """Terms of the last anatomy of the stream, in order; empty where no anatomy was recorded."""
    anatomies = events_of(recording, "anatomy", stream)
    if not anatomies:
        return []
    event = anatomies[-1]
    listed = event.get("terms") or []
    return _contrasted([_view(recording, stream, event, index) for index in range(len(listed))])


def _contrasted(found: list[TermView]) -> list[TermView]:
    """Without the chance level of a loss from which another one of its kind is subtracted.

    E‖x − y‖ − ½E‖x − x′‖ of an energy score pays for spread: its minimum is not where the first term has its own.
    """
    taken = {term.kind for term in found if term.coefficient < 0 and term.is_data}
    return [
        replace(term, chance=None, chance_error=0.0) if term.kind in taken and term.coefficient > 0 else term
        for term in found
    ]


def data_terms(recording: Recording, stream: str) -> list[TermView]:
    """The terms of a stream that judge predictions."""
    return [term for term in terms(recording, stream) if term.is_data]


def late_values(recording: Recording, signal: Signal, term: TermView) -> Floats:
    """The finite values of a signal of a term in the second half of the run."""
    return values_since(recording, signal, term.label, term.updates // 2)


def first_noted(recording: Recording, code: str) -> TermView | None:
    """The first term in whose graph ``code`` was read."""
    every = (term for stream in streams(recording) for term in terms(recording, stream))
    return next((term for term in every if code in term.notes), None)


def judged_terms(recording: Recording, minimum: int = 30) -> list[TermView] | NotJudged:
    """Terms of the main stream where its value may be judged (see :func:`losscope.rules.streams.progress`)."""
    stream = progress(recording, minimum)
    return stream if isinstance(stream, NotJudged) else terms(recording, stream)


def natural_scale(recording: Recording, stream: str) -> float | None:
    """Chance − floor of the loss itself, where one term is all of it; else ``None``."""
    found = terms(recording, stream)
    if len(found) != 1 or found[0].span is None or not found[0].is_whole_loss:
        return None
    return found[0].span * abs(found[0].coefficient)


def _view(recording: Recording, stream: str, event: dict[str, Any], index: int) -> TermView:
    term, count = event["terms"][index], len(event["terms"])
    label = f"{stream}/{index}"
    coefficient = _number(term.get("coefficient"), 1.0)
    sampled = _since(recording.series(signals.TERM_VALUE, label), event.get("step"))
    backwards = values(recording, signals.BACKWARDS, stream)
    accumulated = backwards.size > 0 and float(np.median(backwards)) > 1
    loss = recording.series(signals.LOSS, stream)
    dense = _dense(sampled, loss, coefficient, count, accumulated=accumulated)
    series = dense or sampled
    kept = np.isfinite(series.values)
    floors = finite(_since(recording.series(signals.TERM_FLOOR, label), event.get("step")).values)
    kind = str(term.get("kind", "unknown"))
    return TermView(
        label=label,
        kind=kind,
        coefficient=coefficient,
        reduction=str(term.get("reduction") or "none"),
        options=dict(term.get("options") or {}),
        notes=tuple(str(note) for note in term.get("notes") or ()),
        floor=_level(floors) if floors.size else _optional(term.get("floor")),
        chance=last(recording, signals.TERM_CHANCE, label),
        chance_error=last(recording, signals.TERM_CHANCE_ERROR, label) or 0.0,
        steps=series.steps[kept],
        values=series.values[kept],
        is_whole_loss=dense is not None,
        updates=updates(recording, stream),
        prediction=dict(term.get("prediction") or {}),
        target=dict(term.get("target") or {}),
        where=where(event),
        elements=int(elements)
        if isinstance(elements := term.get("elements"), int) and elements > 0
        else None,
        task=str(term.get("task") or ("penalty" if kind in _PENALTIES else "")),
        is_nats=term["unit"] == "nats" if "unit" in term else kind in _NATS,
        normaliser=_optional(term.get("normaliser")),
        bounds=_bounds(term.get("bounds")),
        floor_varies=bool(floors.size and np.ptp(floors) > 1e-6 * float(np.abs(floors).max())),
    )


def _level(values: Floats) -> float:
    """The mean; of equal numbers exactly that number."""
    return float(values[-1]) if np.ptp(values) == 0 else float(values.mean())


def _bounds(told: Any) -> tuple[float | None, float | None]:
    low, high = told if isinstance(told, list | tuple) and len(told) == 2 else (None, None)
    return _optional(low), _optional(high)


def _since(series: Series, step: Any) -> Series:
    """Records from the step of the last anatomy on: before it, the label stood for another term."""
    if not isinstance(step, int) or len(series) == 0:
        return series
    kept = series.steps >= step
    return Series(series.steps[kept], series.values[kept])


def _dense(
    sampled: Series, loss: Series, coefficient: float, count: int, *, accumulated: bool
) -> Series | None:
    """Every loss divided by the coefficient where that *is* the term, evenly spaced; ``None`` where it is not.

    A single term is the loss up to its coefficient; so the sampled values must agree to 1e-3 wherever both
    were recorded. An accumulated update sums several batches, of which the sample saw the first: there the
    median ratio must lie within 10 % of one.
    """
    if count != 1 or coefficient == 0.0:
        return None
    _, ours, theirs = np.intersect1d(loss.steps, sampled.steps, return_indices=True)
    scaled, seen = loss.values[ours] / coefficient, sampled.values[theirs]
    if ours.size == 0 or not (_alike(scaled, seen) if accumulated else _equal(scaled, seen)):
        return None
    kept = evenly(loss)
    return Series(kept.steps, kept.values / coefficient)


def _equal(one: Floats, other: Floats) -> bool:
    return bool(np.allclose(one, other, rtol=1e-3, atol=1e-9, equal_nan=True))


def _alike(one: Floats, other: Floats) -> bool:
    known = np.isfinite(one) & np.isfinite(other) & (other != 0)
    return bool(known.any()) and abs(float(np.median(one[known] / other[known])) - 1.0) < 0.1


def _number(value: Any, default: float) -> float:
    found = _optional(value)
    return default if found is None else found


def _optional(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
