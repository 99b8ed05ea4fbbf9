"""The picture of a loss: value, slope and curvature along one line, with chance level and floor marked."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope.core.errors import BadUsage
from losscope.losses.describe import chance_levels, floors
from losscope.losses.section import Section, sections
from losscope.losses.spec import LossSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#1f5fa8", "#c4541a", "#3b7d3b")
_SUFFIXES = (".svg", ".png", ".pdf")


def save(spec: LossSpec, path: Path) -> None:
    """Draw ``spec`` into a file, whose name's end says the format. Raises ``BadUsage`` in one line."""
    if path.suffix.lower() not in _SUFFIXES:
        raise BadUsage(
            "the picture's format is not known", seen=path.name, remedy=f"end it in {', '.join(_SUFFIXES)}"
        )
    figure = draw(spec)
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    except OSError as error:
        raise BadUsage("the picture cannot be written", seen=f"{path}: {error.strerror}") from error


def draw(spec: LossSpec) -> "Figure":
    """A figure with three panels. Needs matplotlib (the extra ``losscope[plot]``)."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BadUsage("drawing needs matplotlib", remedy="pip install 'losscope[plot]'") from error
    found = sections(spec)
    if not found:
        raise BadUsage(f"{spec.name} has no function to draw", remedy="`losscope losses` lists the others")
    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    value, slope, curvature = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    for section, colour in zip(found, _COLOURS, strict=False):
        _panel(value, section, section.value, colour)
        _panel(slope, section, section.slope, colour)
        if section.curvature is not None:
            _panel(curvature, section, section.curvature, colour)
    _marks(value, spec, found[0])
    _knowledge(value, found)
    for axes, label in ((value, "value"), (slope, "gradient"), (curvature, "curvature")):
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.axhline(0.0, color="#999999", linewidth=0.6, zorder=0)
    if all(section.curvature is None for section in found):
        text = "PyTorch does not differentiate this loss twice"
        curvature.text(0.5, 0.5, text, ha="center", transform=curvature.transAxes, fontsize=8)
        curvature.set_yticks([])
    value.set_title(spec.title, loc="left", fontsize=11, pad=14)
    curvature.set_xlabel(found[0].path.label)
    if any(section.path.name for section in found):
        value.legend(frameon=False, fontsize=8)
    return figure


def _panel(axes: Any, section: Section, values: Any, colour: str) -> None:
    axes.plot(section.x.numpy(), values.numpy(), color=colour, linewidth=1.6, label=section.path.name or None)


def _knowledge(axes: Any, found: list[Section]) -> None:
    """Where on the path the prediction knows nothing, and where it is right, if all curves agree."""
    for what in ("uninformed", "perfect"):
        places = {getattr(section.path, what) for section in found}
        place = places.pop()
        if place is None or places:
            continue
        axes.axvline(place, color="#bbbbbb", linewidth=0.8, zorder=0)
        low, high = found[0].path.low, found[0].path.high
        side = "right" if place > low + 0.9 * (high - low) else "left"
        axes.annotate(
            f" {what} ",
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            ha=side,
            va="bottom",
            fontsize=7,
            color="#777777",
        )


def _marks(axes: Any, spec: LossSpec, section: Section) -> None:
    """Chance level of the first plain target, or of as many candidates as are drawn, and the floor of the defaults."""
    classes, rows = spec.lengths["C"], section.path.rows
    levels = [(f"chance: {v:.3g} ({what})", v, "--") for what, v in chance_levels(spec, classes, rows)[:1]]
    levels += [(f"floor: {v:.3g}", v, ":") for _, v in floors(spec)[:1]]
    low, high = axes.get_ylim()
    for text, level, style in levels:
        if low - 0.2 * (high - low) <= level <= high + 0.2 * (high - low):
            ends = [abs(float(section.value[end]) - level) for end in (0, -1)]
            place, side = (0.01, "left") if ends[0] > ends[1] else (0.99, "right")  # where the curve is far
            axes.axhline(level, color="#555555", linestyle=style, linewidth=1.0)
            axes.annotate(
                text, (place, level), xycoords=("axes fraction", "data"), ha=side, va="bottom", fontsize=8
            )
