"""Gradients and updates of each parameter: a heat strip over the run and the ratios at a glance."""

from dataclasses import dataclass

import numpy as np

from losscope.recording import signals
from losscope.recording.reader import Series
from losscope.report.charts.heat import heat_strip, shades
from losscope.report.page.context import Context
from losscope.report.values import number

MOST_ROWS = 60


@dataclass(frozen=True, slots=True)
class LayerRow:
    name: str
    strip: str
    gradient: str
    gradient_ratio: str
    update_ratio: str


@dataclass(frozen=True, slots=True)
class LayersView:
    rows: tuple[LayerRow, ...]
    edges: tuple[str, ...]
    note: str
    has_bad: bool


def layers_view(context: Context) -> LayersView | None:
    """``None`` where no gradient of a single parameter was recorded."""
    names = context.recording.labels(signals.GRADIENT_NORM_PARAMETER)
    if not names:
        return None
    chosen = _chosen(names, {e.label for f in context.verdict.findings for e in f.evidence})
    norms = {name: context.series(signals.GRADIENT_NORM_PARAMETER, name) for name in chosen}
    shade = shades(np.concatenate([s.values for s in norms.values()]))
    rows = []
    for name, series in norms.items():
        finite = series.values[np.isfinite(series.values)]
        low, high = (number(float(f(finite))) if finite.size else "NaN" for f in (np.min, np.max))
        words = context.word("layers.strip-text", name=name, low=low, high=high)
        strip = heat_strip(
            context.identity("strip"),
            name,
            words,
            steps=series.steps,
            values=series.values,
            shade=shade,
            across=context.steps,
        )
        weight = context.series(signals.PARAMETER_NORM, name)
        update = context.series(signals.UPDATE_NORM_PARAMETER, name)
        rows.append(
            LayerRow(name, strip, _median(series.values), _ratio(series, weight), _ratio(update, weight))
        )
    left_out = ""
    if len(chosen) < len(names):
        left_out = context.word("layers.left-out", count=len(chosen), total=number(len(names)))
    bad = any(not np.isfinite(s.values).all() for s in norms.values())
    return LayersView(tuple(rows), tuple(number(e, 2) for e in shade.edges()), left_out, bad)


def _chosen(names: list[str], wanted: set[str]) -> list[str]:
    """All names, or ``MOST_ROWS`` spread evenly over the model, those that findings speak of included."""
    if len(names) <= MOST_ROWS:
        return names
    spoken = [n for n in names if n in wanted][: MOST_ROWS // 2]
    evenly = np.linspace(0, len(names) - 1, MOST_ROWS - len(spoken)).round().astype(int).tolist()
    kept = {names[i] for i in evenly} | set(spoken)
    return [n for n in names if n in kept]


def _median(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return number(float(np.median(finite)), 2) if finite.size else ("NaN" if len(values) else "–")


def _ratio(above: Series, below: Series) -> str:
    """Median of the quotient over the steps that both series have."""
    _, i, j = np.intersect1d(above.steps, below.steps, return_indices=True)
    top, bottom = above.values[i], below.values[j]
    usable = np.isfinite(top) & np.isfinite(bottom) & (bottom > 0)
    return _median(top[usable] / bottom[usable])
