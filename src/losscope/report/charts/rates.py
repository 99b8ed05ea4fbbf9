"""A logarithmic axis of learning rates: what is stable, and where the run's own rate stands."""

import math
from collections.abc import Sequence

from losscope.report.charts import scale as scales
from losscope.report.charts.density import value_axis
from losscope.report.charts.svg import element, labelled, percent_of, text

_BASE = 60.0


def rate_axis(
    identity: str,
    title: str,
    description: str,
    limits: Sequence[tuple[str, float]],
    used: tuple[str, float] | None,
) -> str:
    """``limits`` with their names, in rising order, and the rate that was ``used``; empty where none is a number."""
    limits = [(n, v) for n, v in limits if math.isfinite(v) and v > 0]
    if not limits:
        return ""
    own = used if used is not None and math.isfinite(used[1]) and used[1] > 0 else None
    values = [v for _, v in limits] + ([own[1]] if own else [])
    axis = scales.Scale(min(values) / 10, max(values) * 10, log=True)
    edge = percent_of(axis.position(limits[0][1]))
    rest = percent_of(1 - axis.position(limits[0][1]))
    parts = [
        element("rect", class_="gauge-learnt", x="0", y="44", width=edge, height="10", rx="5"),
        element("rect", class_="gauge-worse", x=edge, y="44", width=rest, height="10", rx="5"),
    ]
    for number, (name, value) in enumerate(limits):
        x = percent_of(axis.position(value))
        parts.append(element("line", class_="gauge-tick", x1=x, x2=x, y1="40", y2="58"))
        place = "end" if axis.position(value) > 0.6 else "start"
        parts.append(element("text", text(name), class_=f"tick {place}", x=x, y=str(12 + 14 * (number % 2))))
    if own is not None:
        x = percent_of(axis.position(own[1]))
        parts.append(
            element("circle", element("title", text(own[0])), class_="gauge-value", cx=x, cy="49", r="7")
        )
    return labelled(
        identity,
        title,
        description,
        *parts,
        *value_axis(axis, _BASE),
        class_="plot",
        width="100%",
        height="86",
    )
