"""The facts of a run that stand in every verdict: training, validation, terms."""

from collections.abc import Sequence

import numpy as np

from losscope.core.finding import Finding
from losscope.core.verdict import TermSummary, Training, Validation
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.composition import Composition, Part, composition
from losscope.rules.course import STATUS, course
from losscope.rules.curve import level
from losscope.rules.evaluations import held_out
from losscope.rules.statistics.robust import finite
from losscope.rules.streams import (
    events_of,
    is_aimless,
    loss_series,
    main_stream,
    same_loss,
    streams,
    updates,
    values,
)


def training(recording: Recording, findings: Sequence[Finding]) -> Training:
    """What happened to the loss of the main stream. ``first_loss`` and ``last_loss`` are single updates."""
    stream = main_stream(recording)
    curve = recording.series(signals.LOSS, stream).values if stream is not None else np.empty(0)
    seconds, overhead = _seconds(recording)
    return Training(
        status=STATUS[course(recording, findings)],
        steps=updates(recording, stream) if stream is not None else 0,
        first_loss=float(curve[0]) if len(curve) else None,
        last_loss=float(curve[-1]) if len(curve) else None,
        validation=validation(recording),
        overhead=overhead,
        seconds=seconds,
        start_seconds=float(recording.run.get("watch_start_seconds") or 0.0),
        level=level(loss_series(recording, stream)) if stream is not None else None,
    )


def validation(recording: Recording) -> Validation | None:
    """First, smallest and last loss of the longest evaluation series on held-out data."""
    series = held_out(recording)
    kept = finite(series.values) if series is not None else np.empty(0)
    if kept.size == 0:
        return None
    return Validation(first=float(kept[0]), best=float(kept.min()), last=float(kept[-1]))


def term_summaries(recording: Recording) -> tuple[TermSummary, ...]:
    """Terms of every stream that updates as often as a tenth of the main one, the main stream's first.

    Optimisers that share one loss (sparse and dense parameters, encoder and decoder) list its terms once.
    """
    listed = streams(recording)
    if not listed:
        return ()
    least = updates(recording, listed[0]) / 10
    kept: list[str] = []
    for stream in listed:
        twins = any(same_loss(recording, stream, other) for other in kept)
        if updates(recording, stream) >= least and not twins:
            kept.append(stream)
    return tuple(
        summary
        for stream in kept
        for summary in _summaries(composition(recording, stream), is_aimless(recording, stream))
    )


def whole(recording: Recording) -> tuple[float | None, float | None]:
    """The objective of the main stream at the end as the sum of its terms, and what it cannot fall below."""
    stream = main_stream(recording)
    if stream is None:
        return None, None
    found = composition(recording, stream)
    return found.total, None if is_aimless(recording, stream) else found.at_least


def expression(recording: Recording) -> str:
    """The objective of the main stream as read last; empty where none was read."""
    anatomies = events_of(recording, "anatomy", main_stream(recording))
    return str(anatomies[-1].get("expression") or "") if anatomies else ""


def _summaries(found: Composition, aimless: bool) -> list[TermSummary]:
    pairs = zip(found.parts, found.shares, strict=True)
    return [_summary(part, share, progress=not aimless) for part, share in pairs]


def _summary(part: Part, share: float | None, *, progress: bool) -> TermSummary:
    view, value = part.term, part.value
    excess = normalised = None
    if progress and value is not None and view.floor is not None:
        excess = value - view.floor
        normalised = excess / view.span if view.span is not None else None
    return TermSummary(
        kind=view.kind,
        coefficient=view.coefficient,
        reduction=view.reduction,
        value=value,
        chance=view.chance,
        floor=view.floor,
        normalised=normalised,
        skill=None if normalised is None else 1.0 - normalised,
        unit="nats" if view.is_nats else "",
        excess=excess,
        normaliser=view.normaliser,
        first=float(view.values[0]) if view.values.size else None,
        contribution=part.contribution,
        share=share,
        value_is_progress=progress,
        options=view.options,
        prediction_shape=tuple(n for n in view.prediction.get("shape") or () if isinstance(n, int)),
        activation=view.prediction.get("activation"),
    )


def _seconds(recording: Recording) -> tuple[float, float]:
    """Seconds of the whole run, and the watch's own as a share of the script's.

    From the run file where the run ended in order; from the last update's time where it was killed.
    """
    told = recording.run
    watch = values(recording, signals.WATCH_SECONDS, "")
    spent = float(told.get("watch_seconds") or (watch[-1] if watch.size else 0.0))
    stamps = [values(recording, signals.STEP_TIME, stream) for stream in streams(recording)]
    latest = max((float(stamp[-1]) for stamp in stamps if stamp.size), default=0.0)
    script = float(told.get("script_seconds") or max(0.0, latest - spent))
    return script + spent, spent / script if script > 0 else 0.0
