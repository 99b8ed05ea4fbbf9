"""The facts of a run that stand in every verdict: training, validation, terms."""

from collections.abc import Sequence

import numpy as np

from losscope.core.finding import Finding
from losscope.core.verdict import TermSummary, Training, Validation
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.course import STATUS, course
from losscope.rules.evaluations import held_out
from losscope.rules.statistics.robust import finite
from losscope.rules.streams import events_of, main_stream, same_loss, streams, updates, values
from losscope.rules.terms import TermView, terms


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
    return tuple(_summary(view) for stream in kept for view in terms(recording, stream))


def expression(recording: Recording) -> str:
    """The objective of the main stream as read last; empty where none was read."""
    anatomies = events_of(recording, "anatomy", main_stream(recording))
    return str(anatomies[-1].get("expression") or "") if anatomies else ""


def _summary(view: TermView) -> TermSummary:
    recent = next((r for share in (0.05, 0.2, 0.4) if (r := view.recent(share)).size), view.recent(0.4))
    value = float(recent.mean()) if recent.size else None
    normalised = skill = None
    if value is not None and view.span is not None and view.floor is not None:
        normalised = (value - view.floor) / view.span
    if value is not None and view.chance is not None and view.chance > 0:
        skill = 1.0 - value / view.chance
    return TermSummary(
        kind=view.kind,
        coefficient=view.coefficient,
        reduction=view.reduction,
        value=value,
        chance=view.chance,
        floor=view.floor,
        normalised=normalised,
        skill=skill,
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
