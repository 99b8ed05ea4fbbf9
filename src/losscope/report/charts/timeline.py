"""The run as one line: epochs, evaluations and events at their steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from losscope.report.charts.axis import across, step_axis
from losscope.report.charts.scale import Scale
from losscope.report.charts.svg import element, labelled, percent_of, text

# Vertical centre of each kind of mark, its symbol, and the most marks of that kind that are drawn.
LANES = {
    "epoch": (26, "", 60),
    "finding": (22, "▼", 20),
    "evaluation": (44, "◆", 60),
    "event": (66, "▲", 40),
    "bad": (66, "✕", 40),
}
HEIGHT = 104
BASE = 80.0


@dataclass(frozen=True, slots=True)
class TimelineMark:
    """Something that happened at a step. ``kind`` is one of `LANES`."""

    kind: str
    step: float
    name: str


def timeline(
    identity: str, title: str, description: str, marks: Sequence[TimelineMark], steps: tuple[float, float]
) -> str:
    """Draw the marks over the steps from first to last; crowded kinds are thinned evenly."""
    axis = across(*steps)
    parts = step_axis(axis, BASE)
    for kind in LANES:
        parts += _lane(kind, [m for m in marks if m.kind == kind], axis)
    return labelled(
        identity, title, description, *parts, class_="plot timeline", width="100%", height=str(HEIGHT)
    )


def _lane(kind: str, marks: list[TimelineMark], axis: Scale) -> list[str]:
    y, symbol, most = LANES[kind]
    parts = []
    for mark in marks[:: max(1, -(-len(marks) // most))]:
        share = axis.position(mark.step)
        if not 0 <= share <= 1:
            continue
        x, name = percent_of(share), element("title", text(mark.name))
        if not symbol:
            line = element("line", name, class_="epoch", x1=x, x2=x, y1="10", y2=BASE)
            parts.append(line)
        else:
            parts.append(element("text", symbol, name, class_=f"lane of-{kind}", x=x, y=str(y + 4)))
    return parts
