"""The curves of a run: loss, accuracy, gradient norm, update ratio, learning rate, time per update."""

import numpy as np

from losscope.recording import signals
from losscope.recording.signals import Signal
from losscope.report.charts.line import Level, Line
from losscope.report.page.context import Context
from losscope.report.page.figures import Figure, figure

# More curves than this in one chart cannot be told apart.
MOST_LINES = 4


def curve_figures(context: Context) -> list[Figure]:
    """Every curve that has records, the loss first."""
    drawn = [
        _loss(context),
        _accuracy(context),
        _plain(context, "curve.gradient-norm", signals.GRADIENT_NORM, "curve.stream"),
        _plain(context, "curve.update-ratio", signals.UPDATE_RATIO, "curve.stream"),
        _learning_rate(context),
        _step_time(context),
    ]
    return [f for f in drawn if f is not None]


def _loss(context: Context) -> Figure | None:
    streams = context.streams[:MOST_LINES]
    many = len(streams) > 1
    lines = []
    for i, stream in enumerate(streams):
        series = context.series(signals.LOSS, stream)
        name = context.word("curve.stream", name=stream) if many else context.word("curve.train")
        lines.append(Line(name, series.steps, series.values, style=i))
    for label in context.recording.labels(signals.EVALUATION_LOSS)[: MOST_LINES - len(lines)]:
        series = context.series(signals.EVALUATION_LOSS, label)
        name = f"{context.word('validation-short')} {label}".strip()
        lines.append(Line(name, series.steps, series.values, style=len(lines), dots=True))
    chance, floor = context.levels(streams[0]) if streams and not many else (None, None)
    levels = []
    if chance is not None and np.isfinite(chance):
        levels.append(Level(context.word("chance"), chance, "chance"))
    if floor is not None and np.isfinite(floor):
        levels.append(Level(context.word("floor"), floor, "floor"))
    return figure(context, context.word("curve.loss"), lines, levels=levels, height=280.0, points=260)


def _accuracy(context: Context) -> Figure | None:
    lines = []
    for label in context.recording.labels(signals.ACCURACY)[:2]:
        series = context.series(signals.ACCURACY, label)
        lines.append(Line(context.word("curve.train"), series.steps, series.values, style=len(lines)))
    for label in context.recording.labels(signals.EVALUATION_ACCURACY)[: MOST_LINES - len(lines)]:
        series = context.series(signals.EVALUATION_ACCURACY, label)
        name = f"{context.word('validation-short')} {label}".strip()
        lines.append(Line(name, series.steps, series.values, style=len(lines), dots=True))
    return figure(context, context.word("curve.accuracy"), lines, log=False)


def _plain(context: Context, title: str, signal: Signal, name: str) -> Figure | None:
    """One curve for each label of a signal."""
    labels = context.recording.labels(signal)[:MOST_LINES]
    lines = []
    for i, label in enumerate(labels):
        series = context.series(signal, label)
        words = context.word(name, name=label) if len(labels) > 1 else context.word(title)
        lines.append(Line(words, series.steps, series.values, style=i))
    return figure(context, context.word(title), lines)


def _learning_rate(context: Context) -> Figure | None:
    """The learning rate is recorded when it changes, so each value is held until the next one."""
    title = "curve.learning-rate"
    labels = context.recording.labels(signals.LEARNING_RATE)[:MOST_LINES]
    lines = []
    for i, label in enumerate(labels):
        series = context.series(signals.LEARNING_RATE, label)
        if not len(series.steps):
            continue
        steps, values = held(series.steps, series.values, context.steps[1])
        words = context.word("curve.group", name=label) if len(labels) > 1 else context.word(title)
        lines.append(Line(words, steps, values, style=i))
    return figure(context, context.word(title), lines, log=False)


def held(steps: np.ndarray, values: np.ndarray, last: float) -> tuple[np.ndarray, np.ndarray]:
    """A series recorded on change, as a staircase up to the step ``last``.

    Long series are left as they are: their stairs would be narrower than a pixel.
    """
    if len(steps) > 200:
        return steps, values
    ends = np.r_[steps[1:], max(last, float(steps[-1]))]
    return np.column_stack([steps, ends]).ravel(), np.repeat(values, 2)


def _step_time(context: Context) -> Figure | None:
    """Differences of the clock readings, each divided by the updates between them."""
    lines, unit = [], "s"
    for i, label in enumerate(context.recording.labels(signals.STEP_TIME)[:MOST_LINES]):
        series = context.series(signals.STEP_TIME, label)
        updates, seconds = np.diff(series.steps), np.diff(series.values)
        kept = (updates > 0) & (seconds >= 0)
        if not kept.any():
            continue
        each = seconds[kept] / updates[kept]
        if i == 0 and float(np.median(each)) < 0.5:
            unit = "ms"
        name = context.word("curve.stream", name=label)
        lines.append(Line(name, series.steps[1:][kept], each * (1000 if unit == "ms" else 1), style=i))
    if len(lines) == 1:
        only = lines[0]
        lines = [Line(context.word("curve.step-time"), only.steps, only.values)]
    return figure(context, context.word("curve.step-time"), lines, unit=unit)
