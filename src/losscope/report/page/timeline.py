"""The run as one line, with the events that carry a step listed in words."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from losscope.recording import signals
from losscope.report.charts.timeline import TimelineMark, timeline
from losscope.report.page.context import Context
from losscope.report.values import number

# Events that a reader of the timeline wants to see; the others describe the set-up.
SHOWN = {"non-finite": "bad", "fault": "event", "thinned": "event", "blind-spot": "event"}
MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class TimelineView:
    svg: str
    text: str
    kinds: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, str], ...]
    left_out: int


def timeline_view(context: Context) -> TimelineView | None:
    """``None`` where the run has nothing but updates."""
    epochs, evaluations, events = _epochs(context), _evaluations(context), _events(context)
    findings = [
        TimelineMark("finding", float(step), f"{f.code}: {number(step)}")
        for f in context.verdict.findings
        if f.severity != "info"
        for step in {s for e in f.evidence for s in e.steps[:1]}
    ]
    marks = [*epochs, *evaluations, *(mark for mark, _ in events), *findings]
    if not marks:
        return None
    words = context.word(
        "timeline.text",
        epochs=len(epochs),
        evaluations=len(evaluations),
        events=len(events),
        steps=number(context.verdict.training.steps),
    )
    identity = context.identity("timeline-chart")
    svg = timeline(identity, context.word("timeline.title"), words, marks, context.steps)
    present = {mark.kind for mark in marks}
    kinds = tuple(
        (k, context.word(f"legend.{k}"))
        for k in ("finding", "epoch", "evaluation", "event", "bad")
        if k in present
    )
    listed = tuple((number(mark.step), text) for mark, text in events[:MOST_LISTED])
    return TimelineView(svg, words, kinds, listed, max(0, len(events) - MOST_LISTED))


def _epochs(context: Context) -> list[TimelineMark]:
    series = context.series(signals.EPOCH)
    return [
        TimelineMark(
            "epoch", float(s), context.word("mark.epoch", index=number(float(v)), step=number(float(s)))
        )
        for s, v in zip(series.steps, series.values, strict=True)
    ]


def _evaluations(context: Context) -> list[TimelineMark]:
    marks = []
    for label in context.recording.labels(signals.EVALUATION_LOSS):
        series = context.series(signals.EVALUATION_LOSS, label)
        for step, value in zip(series.steps, series.values, strict=True):
            words = context.word("mark.evaluation", step=number(float(step)), value=number(float(value)))
            marks.append(TimelineMark("evaluation" if np.isfinite(value) else "bad", float(step), words))
    return marks


def _events(context: Context) -> list[tuple[TimelineMark, str]]:
    found = []
    for kind, lane in SHOWN.items():
        for event in context.recording.events_of(kind):
            step = event.get("step")
            if isinstance(step, int | float) and np.isfinite(step):
                words = context.word("mark.event", kind=kind, step=number(float(step)))
                found.append(
                    (TimelineMark(lane, float(step), words), f"{kind}: {_details(event)}".rstrip(": "))
                )
    return sorted(found, key=lambda pair: pair[0].step)


def _details(event: dict[str, Any]) -> str:
    wanted = ("what", "origin", "where", "why", "level", "error")
    return " · ".join(str(event[key]) for key in wanted if isinstance(event.get(key), str | int | float))
