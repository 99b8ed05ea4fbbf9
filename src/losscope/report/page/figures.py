"""Charts with everything around them: title, legend, notes, and a table for those who cannot see them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losscope.report.charts import line as charts
from losscope.report.page.context import Context
from losscope.report.values import number

TABLE_ROWS = 10


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """``kind`` is the style class of the swatch: ``s0`` … ``s3``, ``band``."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart, ready for the template. ``table`` has a row per chosen step: the step, then each line."""

    identity: str
    title: str
    unit: str
    svg: str
    legend: tuple[LegendEntry, ...]
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]


def figure(
    context: Context,
    title: str,
    lines: Sequence[charts.Line],
    *,
    unit: str = "",
    levels: Sequence[charts.Level] = (),
    bands: Sequence[charts.Band] = (),
    marks: Sequence[charts.Mark] = (),
    log: bool | None = None,
    height: float = 200.0,
    points: int = 200,
    whole_run: bool = True,
) -> Figure | None:
    """The figure of some lines, or ``None`` when none of them has a record."""
    lines = [line for line in lines if len(line.steps)]
    if not lines:
        return None
    identity = context.identity(f"fig-{title}")
    chart = charts.line_chart(
        identity,
        title,
        " ".join(_description(context, line) for line in lines),
        lines,
        levels=levels,
        bands=bands,
        marks=marks,
        steps=context.steps if whole_run else None,
        log=log,
        height=height,
        points=points,
    )
    legend = [LegendEntry(f"s{line.style}", line.name) for line in lines] if len(lines) > 1 else []
    legend += [LegendEntry("band", band.name) for band in bands]
    return Figure(
        identity,
        title,
        unit,
        chart.svg,
        tuple(legend),
        tuple(_notes(context, chart, marks)),
        tuple(line.name for line in lines),
        tuple(_table(lines)),
    )


def _description(context: Context, line: charts.Line) -> str:
    finite = line.values[np.isfinite(line.values)]
    if not finite.size:
        return context.word("curve.empty", name=line.name)
    return context.word(
        "curve.text",
        name=line.name,
        count=number(len(line.steps)),
        first=number(float(line.steps[0])),
        last=number(float(line.steps[-1])),
        start=number(float(line.values[0])),
        low=number(float(finite.min())),
        high=number(float(finite.max())),
        end=number(float(line.values[-1])),
    )


def _notes(context: Context, chart: charts.Chart, marks: Sequence[charts.Mark]) -> list[str]:
    notes = [context.word("curve.log")] if chart.log else []
    if chart.thinned:
        notes.append(context.word("curve.spread"))
    notes += [context.word("curve.outside", name=x.name, value=number(x.value)) for x in chart.outside]
    if chart.beyond:
        values = np.concatenate([line.values[np.isfinite(line.values)] for line in chart.lines])
        low, high = number(float(values.min())), number(float(values.max()))
        notes.append(context.word("curve.beyond", count=chart.beyond, low=low, high=high))
    if chart.bad:
        notes.append(context.word("curve.bad", step=number(chart.bad[0])))
    if marks:
        shown = ", ".join(number(m.step) for m in marks[:8]) + (" …" if len(marks) > 8 else "")
        notes.append(context.word("curve.marked", steps=shown))
    return notes


def _table(lines: Sequence[charts.Line]) -> list[tuple[str, ...]]:
    """Values at about ``TABLE_ROWS`` evenly chosen steps of the longest line, and the nearest of the others."""
    longest = max(lines, key=lambda line: len(line.steps))
    chosen = np.unique(np.linspace(0, len(longest.steps) - 1, TABLE_ROWS).round().astype(np.int64))
    rows = []
    for i in chosen:
        step = float(longest.steps[i])
        cells = [number(float(x.values[int(np.abs(x.steps - step).argmin())])) for x in lines]
        rows.append((number(step), *cells))
    return rows
