"""The density of a spectrum: an area on a logarithmic axis, so that a few eigenvalues beside the bulk are seen."""

from collections.abc import Sequence

import numpy as np

from losscope.report.charts import scale as scales
from losscope.report.charts.svg import coordinate, element, labelled, percent_of, text

_HEIGHT = 200.0
_TOP = 12.0
_PLOT = 150.0
_DECADES = 6.0  # below the largest density nothing is drawn


def density_chart(
    identity: str,
    title: str,
    description: str,
    at: Sequence[float],
    density: Sequence[float],
    marks: Sequence[float] = (),
) -> str:
    """The drawing, or an empty string where there is nothing to draw. ``marks`` are single eigenvalues."""
    x, y = np.asarray(at, dtype=np.float64), np.asarray(density, dtype=np.float64)
    if (
        x.shape != y.shape
        or x.size < 2
        or not np.isfinite(x).all()
        or not np.isfinite(y).all()
        or y.max() <= 0
    ):
        return ""
    axis = scales.fit(x, padding=0.0)
    shares = np.log10(np.maximum(y / y.max(), 10.0**-_DECADES)) / _DECADES + 1
    points = [
        f"{coordinate(1000 * axis.position(float(a)))} {coordinate(1000 * (1 - b))}"
        for a, b in zip(x, shares, strict=True)
    ]
    outline = "M" + "L".join(points)
    first, last = points[0].split()[0], points[-1].split()[0]
    area = element(
        "svg",
        element("path", class_="spread s0", d=f"{outline}L{last} 1000L{first} 1000z"),
        element("path", class_="curve s0", d=outline),
        class_="curves",
        x="0",
        y=_TOP,
        width="100%",
        height=_PLOT,
        viewBox="0 0 1000 1000",
        preserveAspectRatio="none",
    )
    inside = [m for m in marks if axis.low <= m <= axis.high]
    return labelled(
        identity,
        title,
        description,
        *_zero(axis),
        area,
        *(element("text", "▼", class_="lane", x=percent_of(axis.position(m)), y="12") for m in inside),
        *value_axis(axis, _TOP + _PLOT),
        class_="plot",
        width="100%",
        height=coordinate(_HEIGHT),
    )


def _zero(axis: scales.Scale) -> list[str]:
    if not axis.low < 0 < axis.high:
        return []
    x = percent_of(axis.position(0.0))
    return [element("line", class_="level", x1=x, x2=x, y1=_TOP, y2=_TOP + _PLOT)]


def value_axis(axis: scales.Scale, base: float) -> list[str]:
    """Base line with about six labelled values below it."""
    parts = [element("line", class_="axis", x1="0", x2="100%", y1=base, y2=base)]
    for tick in axis.ticks(6):
        x = percent_of(tick.position)
        anchor = "start" if tick.position < 0.03 else ("end" if tick.position > 0.97 else "middle")
        parts.append(element("line", class_="axis", x1=x, x2=x, y1=base, y2=base + 4))
        parts.append(element("text", text(tick.label), class_=f"tick {anchor}", x=x, y=base + 18))
    return parts
