"""Line charts over steps: curves with their spread, horizontal levels, expected bands, marks, gaps.

Horizontal positions are percentages and the curves sit in an inner, stretched view box, so a chart
follows the width of the page while its words keep their size. Colours come from the page's style sheet
by class, so that light, dark and print each have their own; every curve also has its own dash pattern.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from losscope.report.charts import scale as scales
from losscope.report.charts.axis import across as axis_of_steps
from losscope.report.charts.axis import step_axis
from losscope.report.charts.buckets import Buckets, bucket
from losscope.report.charts.path import area_path, line_path
from losscope.report.charts.scale import Scale
from losscope.report.charts.svg import coordinate, element, labelled, percent_of, text
from losscope.report.values import number

TOP = 22.0
BOTTOM = 26.0
LABEL_GAP = 15.0
NEAR = 0.02


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: ``style`` picks colour and dash pattern (0 … 3); ``dots`` marks every record."""

    name: str
    steps: np.ndarray
    values: np.ndarray
    style: int = 0
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line at a meaningful value, such as the chance level."""

    name: str
    value: float
    kind: str = "chance"


@dataclass(frozen=True, slots=True)
class Band:
    """A shaded range of expected values; an open end is ``None``."""

    name: str
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at a step."""

    name: str
    step: float
    kind: str = "mark"


@dataclass(frozen=True, slots=True)
class Chart:
    """A finished drawing, and what could not be drawn inside it.

    ``outside`` holds levels that the axis does not reach, ``beyond`` the number of stretches cut off at
    the edges, ``bad`` the steps with a non-finite value, ``thinned`` whether curves show the spread of
    several records.
    """

    svg: str
    log: bool
    outside: tuple[Level, ...] = ()
    beyond: int = 0
    bad: tuple[float, ...] = ()
    thinned: bool = False
    lines: tuple[Line, ...] = field(default=())


def line_chart(
    identity: str,
    title: str,
    description: str,
    lines: Sequence[Line],
    *,
    levels: Sequence[Level] = (),
    bands: Sequence[Band] = (),
    marks: Sequence[Mark] = (),
    steps: tuple[float, float] | None = None,
    log: bool | None = None,
    height: float = 220.0,
    points: int = 240,
) -> Chart:
    """Draw ``lines`` over steps; ``log=None`` decides by the spread of the values.

    ``identity`` is unique on the page and starts the ids inside; ``steps`` fixes the horizontal range so
    that several charts share it; ``points`` bounds the stretches drawn per curve and so the size.
    """
    thin = [bucket(line.steps, line.values, points) for line in lines]
    across = _across(thin, steps)
    up, outside, beyond = _upward(thin, levels, bands, log)
    plot = height - TOP - BOTTOM
    bad = tuple(sorted({float(s) for b in thin for s in b.bad if s >= 0}))
    svg = labelled(
        identity,
        title,
        description,
        *_bands(bands, up, plot),
        *_grid(up, plot),
        *step_axis(across, TOP + plot),
        *_marks(marks, across, plot),
        *_bad(bad, across, plot),
        _curves(lines, thin, across, up, plot),
        *_dots(lines, thin, across, up, plot),
        *_levels([level for level in levels if level not in outside], up, plot),
        class_="plot",
        width="100%",
        height=coordinate(height),
        data_x=f"{across.low!r} {across.high!r}",
        data_y=f"{up.low!r} {up.high!r} {'log' if up.log else 'linear'}",
        data_area=f"{coordinate(TOP)} {coordinate(plot)}",
    )
    return Chart(svg, up.log, outside, beyond, bad, any(b.thinned for b in thin), tuple(lines))


def _across(thin: Sequence[Buckets], steps: tuple[float, float] | None) -> Scale:
    """The axis of steps: exactly from the first to the last record, without room at the sides."""
    if steps is None:
        all_steps = np.concatenate([b.steps for b in thin]) if thin else np.array([])
        steps = (float(all_steps.min()), float(all_steps.max())) if all_steps.size else (0.0, 1.0)
    return axis_of_steps(*steps)


def _upward(
    thin: Sequence[Buckets], levels: Sequence[Level], bands: Sequence[Band], log: bool | None
) -> tuple[Scale, tuple[Level, ...], int]:
    """The axis of values; levels too far off to be drawn; stretches that the axis cuts off."""
    values = np.concatenate([np.r_[b.low, b.high] for b in thin]) if thin else np.array([])
    middles = np.concatenate([b.middle for b in thin]) if thin else np.array([])
    values = values[np.isfinite(values)]
    if log is None:
        log = scales.wants_log(values)
    shown = values if log else _without_outliers(values, middles[np.isfinite(middles)])
    wanted = [lv.value for lv in levels] + [e for b in bands for e in (b.low, b.high) if e is not None]
    near = [v for v in wanted if np.isfinite(v) and _is_near(v, shown, log)]
    axis = scales.fit(np.r_[shown, near], log=log)
    outside = tuple(lv for lv in levels if not axis.low <= lv.value <= axis.high)
    beyond = sum(_cut_off(b, axis) for b in thin)
    return axis, outside, beyond


def _cut_off(b: Buckets, axis: Scale) -> int:
    """Stretches that reach beyond the axis; values that a logarithm does not have are not counted."""
    with np.errstate(invalid="ignore"):
        below = (b.low < axis.low) & (b.low > 0 if axis.log else True)
        return int((below | (b.high > axis.high)).sum())


def _without_outliers(values: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """Leave out the values that would flatten the whole curve: 50 times the range of 98 % of the medians."""
    if middles.size < 20:
        return values
    low, high = np.percentile(middles, [1, 99])
    span = high - low
    if not 0 < span < 1e300 or float(values.max()) / 2 - float(values.min()) / 2 <= 25 * span:
        return values
    return values[(values >= low - span) & (values <= high + span)]


def _is_near(level: float, shown: np.ndarray, log: bool) -> bool:
    """Whether the axis may stretch to ``level``: at most to twice its length."""
    if not shown.size:
        return True
    if log:
        positive = shown[shown > 0]
        if level <= 0 or not positive.size:
            return False
        shown, level = np.log10(positive), float(np.log10(level))
    low, high = float(shown.min()), float(shown.max())
    room = max(high - low, 0.5 * abs(high), 1e-12)
    return low - room <= level <= high + room


def _y(up: Scale, value: float, plot: float) -> float:
    """Pixels from the top for a value, kept inside the plot."""
    return TOP + plot * (1 - min(max(up.position(value), 0.0), 1.0))


def _grid(up: Scale, plot: float) -> list[str]:
    parts = []
    for tick in up.ticks(4):
        y = TOP + plot * (1 - tick.position)
        parts.append(element("line", class_="grid", x1="0", x2="100%", y1=y, y2=y))
        parts.append(element("text", text(tick.label), class_="tick end", x="-8", y=y + 4))
    return parts


def _bands(bands: Sequence[Band], up: Scale, plot: float) -> list[str]:
    parts = []
    for band in bands:
        top = TOP if band.high is None else _y(up, band.high, plot)
        bottom = TOP + plot if band.low is None else _y(up, band.low, plot)
        if bottom - top > 0.5:
            parts.append(element("rect", class_="band", x="0", width="100%", y=top, height=bottom - top))
    return parts


def _marks(marks: Sequence[Mark], across: Scale, plot: float) -> list[str]:
    parts = []
    for mark in marks:
        share = across.position(mark.step)
        if 0 <= share <= 1:
            x = percent_of(share)
            name = element("title", text(mark.name))
            parts.append(element("line", name, class_=f"at {mark.kind}", x1=x, x2=x, y1=TOP, y2=TOP + plot))
    return parts


def _bad(bad: Sequence[float], across: Scale, plot: float) -> list[str]:
    """A cross on the axis where values stop being finite, and a shade as far as that lasts."""
    parts = []
    for start, end in _stretches([min(max(across.position(step), 0.0), 1.0) for step in bad]):
        if end > start:
            width = percent_of(end - start)
            shade = element("rect", class_="gap", x=percent_of(start), width=width, y=TOP, height=plot)
            parts.append(shade)
        parts.append(element("text", "✕", class_="tick middle bad", x=percent_of(start), y=TOP + plot - 4))
    return parts


def _stretches(shares: Sequence[float]) -> list[tuple[float, float]]:
    """Rising positions, joined where less than `NEAR` of the width lies between neighbours."""
    joined: list[tuple[float, float]] = []
    for share in shares:
        if joined and share - joined[-1][1] < NEAR:
            joined[-1] = (joined[-1][0], share)
        else:
            joined.append((share, share))
    return joined


def _curves(lines: Sequence[Line], thin: Sequence[Buckets], across: Scale, up: Scale, plot: float) -> str:
    paths = []
    for line, b in zip(lines, thin, strict=True):
        x = across.positions(b.steps)
        low, middle, high = (1 - np.clip(up.positions(v), -0.2, 1.2) for v in (b.low, b.middle, b.high))
        if b.thinned:
            paths.append(element("path", class_=f"spread s{line.style}", d=area_path(x, low, high)))
        drawn = line_path(x, middle)
        paths.append(element("path", class_=f"curve s{line.style}", d=drawn, data_name=line.name))
    return element(
        "svg",
        *paths,
        class_="curves",
        x="0",
        y=TOP,
        width="100%",
        height=plot,
        viewBox="0 0 1000 1000",
        preserveAspectRatio="none",
    )


def _dots(lines: Sequence[Line], thin: Sequence[Buckets], across: Scale, up: Scale, plot: float) -> list[str]:
    parts = []
    for line, b in zip(lines, thin, strict=True):
        if not line.dots or len(b.steps) > 60:
            continue
        for step, value in zip(b.steps, b.middle, strict=True):
            if np.isfinite(value):
                x = percent_of(across.position(float(step)))
                parts.append(
                    element("circle", class_=f"dot s{line.style}", cx=x, cy=_y(up, value, plot), r="3.5")
                )
    return parts


def _levels(levels: Sequence[Level], up: Scale, plot: float) -> list[str]:
    """Dashed lines with their names; names that would touch are moved apart.

    A floor is named at the left, where a falling loss is far from it, every other level at the right.
    """
    parts = []
    taken: list[tuple[str, float]] = []
    for level in sorted(levels, key=lambda lv: -lv.value):
        y = _y(up, level.value, plot)
        label = y - 5 if y > LABEL_GAP else y + 13
        side, x = ("start", "4") if level.kind == "floor" else ("end", "100%")
        while any(side == there and abs(label - other) < LABEL_GAP for there, other in taken):
            label += LABEL_GAP
        taken.append((side, label))
        words = f"{level.name} {number(level.value)}"
        parts.append(element("line", class_=f"level {level.kind}", x1="0", x2="100%", y1=y, y2=y))
        parts.append(element("text", text(words), class_=f"tick {side} name {level.kind}", x=x, y=label))
    return parts
