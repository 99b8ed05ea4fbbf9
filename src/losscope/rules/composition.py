"""What an objective is made of near the end of a run: what each term adds, and what the sum cannot fall below.

A contribution is coefficient × value. Coefficients are those of the first look; where one has changed since (an
annealed weight), the contributions no longer add up to the recorded loss, and none is told.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.series import Series
from losscope.rules.curve import last_level
from losscope.rules.statistics.robust import Floats, curvature_scale, finite
from losscope.rules.streams import losses, values
from losscope.rules.terms import TermView, terms

_WINDOWS = (0.05, 0.2, 0.4)
_ENOUGH = 3  # samples that a mean over batches should have, where a longer stretch of the run offers them
_FEW = 16  # updates that tell the noise of a batch
_SLACK = 1e-3  # relative: recorded values carry the rounding of the training's own precision


@dataclass(frozen=True, slots=True)
class Part:
    """One term near the end of the run: ``value`` without its coefficient, ``contribution`` with it.

    ``value`` is ``None`` where no sample was taken in the last two fifths of the run.
    """

    term: TermView
    value: float | None
    contribution: float | None = None


@dataclass(frozen=True, slots=True)
class Composition:
    """All terms of one stream. ``at_least`` is what their sum cannot fall below, where that can be proven."""

    parts: tuple[Part, ...]
    at_least: float | None = None

    @property
    def total(self) -> float | None:
        """Sum of the contributions; ``None`` where one is unknown."""
        known = [part.contribution for part in self.parts if part.contribution is not None]
        return math.fsum(known) if known and len(known) == len(self.parts) else None

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Contributions by the sum of their sizes, so that they are shares also where some are negative."""
        size = math.fsum(abs(part.contribution or 0.0) for part in self.parts)
        if self.total is None or size == 0:
            return tuple(None for _ in self.parts)
        return tuple((part.contribution or 0.0) / size for part in self.parts)


def composition(recording: Recording, stream: str) -> Composition:
    """The objective of a stream as a sum of terms. Cost: a pass over the series of its terms."""
    views = terms(recording, stream)
    parts = [Part(view, _value(view)) for view in views]
    if not views or not _adds_up(recording, stream, views):
        return Composition(tuple(parts))
    parts = _by_difference(recording, stream, parts)
    counted = (
        replace(part, contribution=None if part.value is None else part.term.coefficient * part.value)
        for part in parts
    )
    return Composition(tuple(counted), _at_least(recording, stream, views))


def _value(view: TermView) -> float | None:
    """Mean near the end, over the shortest stretch that holds enough samples; else any that holds one."""
    if view.is_whole_loss:
        return last_level(view.values) if view.recent(_WINDOWS[-1]).size else None
    found = _near_the_end(view)
    return float(found.mean()) if found.size else None


def _near_the_end(view: TermView) -> Floats:
    stretches = [view.recent(share) for share in _WINDOWS]
    least = _ENOUGH if view.is_data else 1  # a penalty has no noise of batches, but it drifts
    filled = [r for r in stretches if r.size]
    return next((r for r in filled if r.size >= least), filled[0] if filled else stretches[0])


def _adds_up(recording: Recording, stream: str, views: list[TermView]) -> bool:
    """Whether the terms make up the recorded loss wherever both were recorded in the last two fifths.

    An accumulated update sums several batches, of which the sample saw the first: there the median ratio must lie
    within a tenth of one.
    """
    if len(views) == 1:
        return views[0].is_whole_loss
    loss = recording.series(signals.LOSS, stream)
    kept = np.isfinite(loss.values) & (loss.steps >= (1 - _WINDOWS[-1]) * views[0].updates)
    loss = Series(loss.steps[kept], loss.values[kept])
    steps = loss.steps
    for view in views:
        steps = np.intersect1d(steps, view.steps)
    if steps.size == 0:
        return False
    told = loss.values[np.searchsorted(loss.steps, steps)]
    each = [view.coefficient * view.values[np.searchsorted(view.steps, steps)] for view in views]
    summed, size = np.sum(each, axis=0), np.sum(np.abs(each), axis=0)
    backwards = values(recording, signals.BACKWARDS, stream)
    if backwards.size and float(np.median(backwards)) > 1:
        return bool(abs(float(np.median((summed - told) / np.where(size > 0, size, 1.0)))) < 0.1)
    return bool((np.abs(summed - told) <= _SLACK * size + 1e-9).all())


def _by_difference(recording: Recording, stream: str, parts: list[Part]) -> list[Part]:
    """With one data term, its value is what the others leave of the loss, which is recorded far more densely.

    Not where the others change so fast that what they were at their last sample is a worse guess than the mean of
    the data term's own samples.
    """
    data = [i for i, part in enumerate(parts) if part.term.is_data]
    others = [part for part in parts if not part.term.is_data]
    level = losses(recording, stream)
    known = all(part.value is not None for part in others)
    if len(data) != 1 or not others or not known or parts[data[0]].value is None or level.size == 0:
        return parts
    rest = math.fsum(part.term.coefficient * (part.value or 0.0) for part in others)
    view = parts[data[0]].term
    if view.coefficient == 0:
        return parts
    noise = curvature_scale(level[-max(_FEW, len(level) // 20) :]) / math.sqrt(_near_the_end(view).size)
    if math.fsum(abs(part.term.coefficient) * _drift(part.term) for part in others) > noise:
        return parts
    parts[data[0]] = Part(view, (last_level(level) - rest) / view.coefficient)
    return parts


def _drift(view: TermView) -> float:
    """Change of a term from one sample to the next, at the end; without two samples nothing is known of it."""
    return abs(float(view.values[-1] - view.values[-2])) if view.values.size > 1 else math.inf


def _at_least(recording: Recording, stream: str, views: list[TermView]) -> float | None:
    """Σ coefficient × the bound of each term: nothing below it exists for any parameters.

    ``None`` where the bound of one term is unknown, or where a recorded value contradicts it: then the data are
    not such as the contract of the loss speaks of.
    """
    total = 0.0
    for view in views:
        low, high = view.bounds
        bound = low if view.coefficient >= 0 else high
        if bound is None or _contradicted(view, low, high):
            return None
        total += view.coefficient * bound
    seen = finite(recording.series(signals.LOSS, stream).values)
    slack = _SLACK * max(abs(total), float(np.median(np.abs(seen))) if seen.size else 0.0)
    return total if not seen.size or float(seen.min()) >= total - slack else None


def _contradicted(view: TermView, low: float | None, high: float | None) -> bool:
    if view.values.size == 0:
        return False
    slack = _SLACK * float(np.median(np.abs(view.values))) + 1e-9
    below = low is not None and float(view.values.min()) < low - slack
    return below or (high is not None and float(view.values.max()) > high + slack)
