"""A gauge: where a loss value stands between its floor and its chance level."""

import math

from losscope.report.charts.svg import element, labelled, percent_of, text
from losscope.report.values import number

# The chance level sits at this share of the width, so that worse values still have a place.
CHANCE_AT = 0.8


def gauge(
    identity: str,
    title: str,
    description: str,
    *,
    value: float | None,
    chance: float | None,
    floor: float | None,
    words: tuple[str, str],
) -> str:
    """The drawing, or an empty string where the three numbers do not make a scale.

    ``words`` name the floor and the chance level. A value beyond the ends is drawn at the edge.
    """
    known = (value, chance, floor)
    if value is None or chance is None or floor is None or not all(map(math.isfinite, known)):  # type: ignore[arg-type]
        return ""
    room = chance - floor
    if room <= 1e-6 * max(abs(chance), abs(floor)) or not math.isfinite(room):
        return ""
    share = min(max((value - floor) / room * CHANCE_AT, -0.0), 1.0)
    x = percent_of(share)
    edge = percent_of(CHANCE_AT)
    return labelled(
        identity,
        title,
        description,
        element("rect", class_="gauge-learnt", x="0", y="14", width=edge, height="10", rx="5"),
        element("rect", class_="gauge-worse", x=edge, y="14", width="20%", height="10", rx="5"),
        element("line", class_="gauge-tick", x1="0", x2="0", y1="10", y2="28"),
        element("line", class_="gauge-tick", x1=edge, x2=edge, y1="10", y2="28"),
        element("circle", class_="gauge-value", cx=x, cy="19", r="7"),
        element("text", text(f"{words[0]} {number(floor)}"), class_="tick start", x="0", y="42"),
        element("text", text(f"{words[1]} {number(chance)}"), class_="tick middle", x=edge, y="42"),
        class_="gauge",
        width="100%",
        height="48",
    )
