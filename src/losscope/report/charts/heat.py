"""A heat strip: one quantity over the run as a row of shaded cells, and the scale that shades it."""

import math
from dataclasses import dataclass

import numpy as np

from losscope.report.charts.buckets import bucket
from losscope.report.charts.path import runs
from losscope.report.charts.svg import element, labelled

CLASSES = 7


@dataclass(frozen=True, slots=True)
class Shades:
    """``CLASSES`` equal steps of log₁₀ between two positive limits, shared by all strips of a table."""

    low: float
    high: float

    def class_of(self, value: float) -> int:
        """0 … CLASSES - 1; values outside fall into the end classes."""
        if value <= 0:
            return 0
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return min(max(int(share * CLASSES), 0), CLASSES - 1)

    def edges(self) -> list[float]:
        """The values between the classes, from the lowest limit to the highest."""
        return [10 ** (self.low + (self.high - self.low) * i / CLASSES) for i in range(CLASSES + 1)]


def shades(values: np.ndarray) -> Shades:
    """The shades for these values: between their 2nd and 98th percentile, at least two decades wide."""
    kept = values[np.isfinite(values) & (values > 0)]
    if not kept.size:
        return Shades(-4.0, 0.0)
    low, high = np.percentile(np.log10(kept), [2, 98])
    room = max(0.0, 2.0 - (high - low)) / 2
    return Shades(float(low - room), float(high + room))


def heat_strip(
    identity: str,
    title: str,
    description: str,
    *,
    steps: np.ndarray,
    values: np.ndarray,
    shade: Shades,
    across: tuple[float, float],
    columns: int = 48,
) -> str:
    """The strip of one series over the steps ``across``: each column shows its largest value.

    A column that holds a non-finite value is shaded as such, one without any record stays empty.
    """
    cells = _cells(steps, values, shade, across, columns)
    paths = []
    for name in sorted({c for c in cells if c}):
        stretches = runs(np.array([c == name for c in cells]))
        drawn = "".join(f"M{a} 0h{b - a}v1h{a - b}z" for a, b in stretches)
        paths.append(element("path", class_=name, d=drawn))
    return labelled(
        identity,
        title,
        description,
        *paths,
        class_="heat",
        viewBox=f"0 0 {columns} 1",
        preserveAspectRatio="none",
        width="100%",
        height="18",
    )


def _cells(
    steps: np.ndarray, values: np.ndarray, shade: Shades, across: tuple[float, float], columns: int
) -> list[str]:
    """The class of each column; records that lie further apart than a column fill up to the next one."""
    cells = [""] * columns
    if not len(steps):
        return cells
    first, last = across
    span = max(last - first, 1.0)
    thin = bucket(steps, values, columns)
    column = np.clip(((thin.steps - first) / span * columns).astype(np.int64), 0, columns - 1)
    order = [*column.tolist(), columns]
    spacing = max(1, math.ceil(columns / max(len(column), 1)))
    for i, start in enumerate(column.tolist()):
        end = min(max(order[i + 1], start + 1), start + spacing)
        name = "qx" if thin.bad[i] >= 0 else f"q{shade.class_of(float(thin.high[i]))}"
        for c in range(start, end):
            cells[c] = "qx" if cells[c] == "qx" else name
    return cells
