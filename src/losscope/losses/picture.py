"""The picture of a loss: value, slope and curvature along one line, with chance level and floor marked."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.describe import chance_levels, floors
from losscope.losses.section import Section, sections
from losscope.losses.spec import LossSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#1f5fa8", "#c4541a", "#3b7d3b")
_WIDTH = 1.6
_LABEL = 75  # letters below the axis
_LETTER = 0.0115  # of the width of the axes
_JUMP, _STEEP = 0.02, 8.0  # of the range of slopes, and of the steps beside it: a jump
_ROUNDING = 1e-9
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
        name = section.path.name or None
        value.plot(*cornered(section), color=colour, linewidth=_WIDTH, label=name)
        slope.plot(*broken(section, section.slope), color=colour, linewidth=_WIDTH)
        if section.curvature is not None:
            curvature.plot(*broken(section, section.curvature), color=colour, linewidth=_WIDTH)
    _marks(value, spec, found)
    _knowledge(value, found)
    for axes, label in ((value, "value"), (slope, "gradient"), (curvature, "curvature")):
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.axhline(0.0, color="#999999", linewidth=0.6, zorder=0)
    if all(section.curvature is None for section in found):
        text = "PyTorch does not differentiate this loss twice"
        curvature.text(0.5, 0.5, text, ha="center", transform=curvature.transAxes, fontsize=8)
        curvature.set_yticks([])
    elif all(s.curvature is not None and not bool(s.curvature.any()) for s in found):
        curvature.set_ylim(-1, 1)
    value.set_title(spec.title, loc="left", fontsize=11, pad=14)
    curvature.set_xlabel(textwrap.fill(found[0].path.label, _LABEL))
    if any(section.path.name for section in found):
        value.legend(frameon=False, fontsize=8)
    return figure


def broken(section: Section, values: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """A curve with a gap where the slope jumps: nothing is between its sides."""
    gaps = kinks(section)
    return (
        np.insert(section.x.numpy(), gaps + 1, section.x.numpy()[gaps]),
        np.insert(values.numpy(), gaps + 1, np.nan),
    )


def cornered(section: Section) -> tuple[np.ndarray, np.ndarray]:
    """The values, with the corner in which the tangents of both sides meet where the slope jumps."""
    x, value, slope = section.x.numpy(), section.value.numpy(), section.slope.numpy()
    gaps = kinks(section)
    left, right = gaps, gaps + 1
    across = value[right] - value[left] - slope[right] * (x[right] - x[left])
    corner = x[left] + across / (slope[left] - slope[right])
    inside = (x[left] < corner) & (corner < x[right])  # where the value jumps as well there is no corner
    heights = value[left] + slope[left] * (corner - x[left])
    return np.insert(x, right[inside], corner[inside]), np.insert(value, right[inside], heights[inside])


def kinks(section: Section) -> np.ndarray:
    """Indices of points after which the slope jumps: by much more than before and after."""
    slope = section.slope.numpy()
    steps = np.abs(np.diff(slope))
    padded = np.pad(steps, 1)
    around = np.maximum(padded[:-2], padded[2:])
    least = _JUMP * np.ptp(slope) + _ROUNDING * np.abs(slope).max()
    return np.flatnonzero((steps > least) & (steps > _STEEP * around))


def _knowledge(axes: Any, found: list[Section]) -> None:
    """Where on the path the prediction knows nothing, and where it is right, if all curves agree."""
    for what in ("uninformed", "perfect"):
        places = {getattr(section.path, what) for section in found}
        place = places.pop()
        if place is None or places:
            continue
        low, high = found[0].path.low, found[0].path.high
        side = "right" if place > low + 0.9 * (high - low) else "left"
        if place in (low, high) and what == "perfect":  # nearly: the path goes on
            words = "perfect →" if place == high else "← perfect"
        else:
            words = f" {what} "
            axes.axvline(place, color="#bbbbbb", linewidth=0.8, zorder=0)
        axes.annotate(
            words,
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            ha=side,
            va="bottom",
            fontsize=7,
            color="#777777",
        )


def _marks(axes: Any, spec: LossSpec, found: list[Section]) -> None:
    """Chance level of the first plain target, or of as many candidates as are drawn, and the floor of the defaults."""
    from matplotlib.patheffects import withStroke

    classes, rows = spec.lengths["C"], found[0].path.rows
    levels = [(f"chance: {v:.3g} ({what})", v, "--") for what, v in chance_levels(spec, classes, rows)[:1]]
    levels += [(f"floor: {v:.3g}", v, ":") for _, v in floors(spec)[:1]]
    low, high = axes.get_ylim()
    halo = [withStroke(linewidth=2.5, foreground="white")]  # readable where a curve passes
    for text, level, style in levels:
        if low - 0.2 * (high - low) <= level <= high + 0.2 * (high - low):
            axes.axhline(level, color="#555555", linestyle=style, linewidth=1.0)
            place, side, vertical = _free(found, level, len(text) * _LETTER, 0.08 * (high - low))
            where = {"xycoords": ("axes fraction", "data"), "ha": side, "va": vertical}
            axes.annotate(text, (place, level), fontsize=8, path_effects=halo, **where)


def _free(found: list[Section], level: float, width: float, height: float) -> tuple[float, str, str]:
    """Where a text of this size beside a level meets the curves least: place, and how it is aligned there."""
    best = (2.0, 0.01, "left", "bottom")
    for vertical, (bottom, top) in (
        ("bottom", (level, level + height)),
        ("top", (level - height, level)),
    ):
        for side, place in (("left", 0.01), ("right", 0.99), ("center", 0.5)):
            start = {"left": 0.0, "right": 1 - width, "center": 0.5 - width / 2}[side]
            meets = 0.0
            for section in found:
                share = (section.x - section.path.low) / (section.path.high - section.path.low)
                there = (share >= start) & (share <= start + width)
                meets = max(
                    meets,
                    float(((section.value >= bottom) & (section.value <= top) & there).double().mean()),
                )
            if meets < best[0]:
                best = (meets, place, side, vertical)
    return best[1:]
