"""The horizontal axis of steps, shared by line charts and the timeline."""

from losscope.report.charts import scale as scales
from losscope.report.charts.svg import element, percent_of, text


def across(low: float, high: float) -> scales.Scale:
    """The axis from the first to the last step, without room at the sides; one step stands in the middle."""
    return scales.Scale(low, high) if high > low else scales.Scale(low - 0.5, low + 0.5)


def step_axis(axis: scales.Scale, base: float) -> list[str]:
    """Base line at ``base`` pixels with about five labelled steps below it."""
    parts = [element("line", class_="axis", x1="0", x2="100%", y1=base, y2=base)]
    for value in scales.step_ticks(axis.low, axis.high, 5):
        share = axis.position(value)
        anchor = "start" if share < 0.03 else ("end" if share > 0.97 else "middle")
        x = percent_of(share)
        parts.append(element("line", class_="axis", x1=x, x2=x, y1=base, y2=base + 4))
        label = text(scales.step_label(value))
        parts.append(element("text", label, class_=f"tick {anchor}", x=x, y=base + 18))
    return parts
