"""Charts: exact positions for known data, and valid drawings for any data at all."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losscope.report.charts import scale as scales
from losscope.report.charts.buckets import bucket
from losscope.report.charts.gauge import gauge
from losscope.report.charts.heat import CLASSES, heat_strip, shades
from losscope.report.charts.line import BOTTOM, TOP, Band, Level, Line, Mark, line_chart
from losscope.report.charts.path import area_path, line_path
from losscope.report.charts.svg import coordinate, element
from losscope.report.charts.timeline import TimelineMark, timeline

VALUES = st.lists(
    st.one_of(st.floats(), st.sampled_from([0.0, 1.0, 1e300, -1e300, 5e-324, math.nan, math.inf])),
    max_size=60,
)
TEXT = st.text(max_size=20)


def parsed(svg: str) -> ET.Element:
    """The drawing as XML, with every number in it finite."""
    root = ET.fromstring(svg)
    for node in root.iter():
        for name, value in node.attrib.items():
            if name in ("d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"):
                assert not re.search("nan|inf", value, re.IGNORECASE), (node.tag, name, value)
    return root


# --- axes -----------------------------------------------------------------------------------------


def test_linear_ticks_are_nice() -> None:
    assert scales.linear_ticks(0.03, 0.97, 5) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert scales.linear_ticks(-7, 26, 5) == pytest.approx([0, 10, 20])
    assert scales.linear_ticks(0.07, 0.93, 4) == pytest.approx([0.2, 0.4, 0.6, 0.8])  # not 0.5 alone
    assert [t.label for t in scales.Scale(0, 2.4).ticks(5)] == ["0", "0.5", "1.0", "1.5", "2.0"]


def test_log_ticks_are_powers_of_ten() -> None:
    assert scales.log_ticks(0.02, 300, 5) == pytest.approx([0.1, 1, 10, 100])
    assert scales.log_ticks(1e-30, 1e30, 5) == pytest.approx([1e-26, 1e-13, 1, 1e13, 1e26])
    assert scales.log_ticks(0.4, 7, 5) == pytest.approx([0.5, 1, 2, 5])


def test_labels() -> None:
    assert scales.power_label(2e-5) == "2·10⁻⁵"
    assert scales.power_label(1e12) == "10¹²"
    assert [scales.step_label(s) for s in (0, 900, 20000, 1500000)] == ["0", "900", "20k", "1.5M"]
    assert scales.linear_label(0.05, 0.05) == "0.05"


def test_positions_are_exact() -> None:
    assert scales.Scale(2, 6).position(3) == 0.25
    assert scales.Scale(0.01, 100, log=True).position(1) == pytest.approx(0.5)
    assert scales.Scale(0.01, 100, log=True).position(0.0) == -1.0
    assert scales.Scale(0.0, 1.0).position(math.inf) == 2.0


@given(VALUES, st.booleans())
def test_every_axis_holds_its_values(values: list[float], log: bool) -> None:
    axis = scales.fit(values, log=log)
    assert math.isfinite(axis.low) and math.isfinite(axis.high)
    positions = axis.positions(np.array(values, dtype=np.float64))
    fine = np.isfinite(values) & (np.abs(values) <= 1e300) if values else np.array([], dtype=bool)
    if log and values:
        fine &= np.array(values) > 1e-300
    assert ((positions[fine] >= -1e-9) & (positions[fine] <= 1 + 1e-9)).all()
    ticks = axis.ticks(5)
    assert len(ticks) <= 24
    assert all(-1e-6 <= t.position <= 1 + 1e-6 for t in ticks)
    assert [t.value for t in ticks] == sorted({t.value for t in ticks})


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10))
def test_nice_steps(low: float, span: float, count: int) -> None:
    step = scales.nice_step(span, count)
    assert span / step <= count * (1 + 1e-6)
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 5)
    assert all(
        low - 1e-6 * span <= t <= low + span * (1 + 1e-6) for t in scales.linear_ticks(low, low + span, count)
    )


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([1.0, 1000.0], True),
        ([1.0, 2.0], False),
        ([-1.0, 1000.0], False),
        ([0.0, 1.0, 1e-3, 2], True),
        ([], False),
    ],
)
def test_when_an_axis_is_logarithmic(values: list[float], log: bool) -> None:
    assert scales.wants_log(np.array(values)) is log


# --- thinning and paths ---------------------------------------------------------------------------


def test_thinning_keeps_extremes_ends_and_bad_values() -> None:
    values = np.sin(np.arange(100_000) / 500)
    values[51_234], values[70_000], values[5] = 9.0, -9.0, np.nan
    thin = bucket(np.arange(100_000), values, 200)
    assert len(thin.steps) <= 200
    assert np.nanmax(thin.high) == 9.0
    assert np.nanmin(thin.low) == -9.0
    assert (thin.steps[0], thin.steps[-1]) == (0, 99_999)
    assert thin.bad[thin.bad >= 0].tolist() == [5]
    assert (thin.low <= thin.middle).all() and (thin.middle <= thin.high).all()


def test_every_second_record_would_lose_the_spike() -> None:
    """The planted wrong version: thinning by stride."""
    values = np.zeros(10_000)
    values[4_999] = 50.0
    assert np.max(values[::50]) == 0.0
    assert np.nanmax(bucket(np.arange(10_000), values, 200).high) == 50.0


@given(VALUES, st.integers(1, 50))
def test_thinning_any_series(values: list[float], count: int) -> None:
    thin = bucket(np.arange(len(values)), np.array(values, dtype=np.float64), count)
    finite = [v for v in values if math.isfinite(v)]
    assert len(thin.steps) <= max(count, 0) or not thin.thinned
    if finite:
        assert np.nanmin(thin.low) == min(finite)
        assert np.nanmax(thin.high) == max(finite)
    assert (thin.bad >= 0).any() == (len(finite) < len(values))


def test_paths_break_at_gaps() -> None:
    x, y = np.array([0, 0.25, 0.5, 0.75, 1.0]), np.array([0, 1, np.nan, 0.5, 0.5])
    assert line_path(x, y) == "M0 0 250 1000M750 500 1000 500"
    assert line_path(np.array([0.5]), np.array([0.5])) == "M500 500h.1"
    assert area_path(x[:2], y[:2] * 0, y[:2]) == "M0 0 250 1000 250 0 0 0z"


# --- whole charts ---------------------------------------------------------------------------------


def test_a_line_lies_where_its_values_are() -> None:
    line = Line("loss", np.array([0, 50, 100]), np.array([0.0, 1.0, 2.0]))
    chart = line_chart(
        "c", "t", "d", [line], levels=[Level("chance", 1.0)], marks=[Mark("m", 25)], height=200
    )
    root = parsed(chart.svg)
    low, high = (float(v) for v in root.attrib["data-y"].split()[:2])
    path = next(n for n in root.iter() if n.attrib.get("class") == "curve s0").attrib["d"]
    numbers = [float(v) for v in re.findall(r"[\d.]+", path)]
    assert numbers[0::2] == [0, 500, 1000]
    for value, y in zip((0.0, 1.0, 2.0), numbers[1::2], strict=True):
        assert high - (high - low) * y / 1000 == pytest.approx(value, abs=1e-3)
    level = next(n for n in root.iter() if n.attrib.get("class") == "level chance")
    plot = 200 - TOP - BOTTOM
    assert float(level.attrib["y1"]) == pytest.approx(TOP + plot * (high - 1.0) / (high - low), abs=0.01)
    mark = next(n for n in root.iter() if n.attrib.get("class") == "at mark")
    assert mark.attrib["x1"] == "25%"


def test_a_level_out_of_reach_is_reported_not_drawn() -> None:
    line = Line("loss", np.arange(50), 0.01 + 0.001 * np.sin(np.arange(50)))
    chart = line_chart("c", "t", "d", [line], levels=[Level("chance", 2.3)])
    assert [level.name for level in chart.outside] == ["chance"]
    assert "level chance" not in chart.svg


def test_one_wild_value_does_not_flatten_the_curve() -> None:
    values = -3 - np.linspace(0, 1, 100)
    values[50] = 1e9
    chart = line_chart("c", "t", "d", [Line("nll", np.arange(100), values)])
    low, high = (float(v) for v in parsed(chart.svg).attrib["data-y"].split()[:2])
    assert -6 < low < -4
    assert -3 < high < 0
    assert chart.beyond == 1


def test_not_finite_values_are_marked() -> None:
    values = np.r_[np.linspace(2, 1, 50), np.full(50, np.nan)]
    chart = line_chart("c", "t", "d", [Line("loss", np.arange(100), values)])
    assert chart.bad[0] == 50
    assert "✕" in chart.svg
    assert 'class="gap"' in chart.svg


@given(VALUES, VALUES, st.sampled_from([None, True, False]), st.floats(), TEXT)
def test_any_series_makes_a_valid_chart(
    a: list[float], b: list[float], log: bool | None, level: float, name: str
) -> None:
    lines = [
        Line(name, np.arange(len(a)), np.array(a, dtype=np.float64), dots=True),
        Line("b", np.arange(len(b)) * 1000, np.array(b, dtype=np.float64), style=1),
    ]
    bands = [Band(name, None, level if math.isfinite(level) else None)]
    levels = [Level(name, level)] if math.isfinite(level) else []
    chart = line_chart(
        "c", name, name, lines, bands=bands, levels=levels, marks=[Mark(name, 3)], log=log, points=20
    )
    parsed(chart.svg)


@given(VALUES)
def test_any_series_makes_a_valid_heat_strip(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    shade = shades(array)
    assert shade.low < shade.high
    steps = np.arange(len(values))
    svg = heat_strip("h", "t", "d", steps=steps, values=array, shade=shade, across=(0, max(1, len(values))))
    root = parsed(svg)
    classes = {n.attrib["class"] for n in root.iter() if n.tag == "path"}
    assert ("qx" in classes) == (not np.isfinite(array).all())


def test_heat_classes_are_equal_steps_of_the_logarithm() -> None:
    shade = shades(np.logspace(-7, 0, 500))
    assert [shade.class_of(e * 1.001) for e in shade.edges()[:-1]] == list(range(CLASSES))
    assert shade.class_of(0.0) == 0
    assert shade.class_of(1e9) == CLASSES - 1


def test_heat_columns_follow_the_steps() -> None:
    values = np.r_[np.full(24, 1e-4), np.full(24, 1.0)]
    svg = heat_strip(
        "h", "t", "d", steps=np.arange(48), values=values, shade=shades(values), across=(0, 47), columns=48
    )
    drawn = {n.attrib["class"]: n.attrib["d"] for n in parsed(svg).iter() if n.tag == "path"}
    assert drawn == {"q0": "M0 0h24v1h-24z", "q6": "M24 0h24v1h-24z"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["epoch", "evaluation", "event", "bad", "finding"]), st.floats(0, 1e7), TEXT
        )
    ),
    st.floats(0, 10),
    st.floats(0, 1e7),
)
def test_any_timeline_is_valid(marks: list[tuple[str, float, str]], first: float, length: float) -> None:
    svg = timeline("t", "t", "d", [TimelineMark(*m) for m in marks], (first, first + length))
    parsed(svg)
    assert svg.count("<title>") <= 1 + 300


@given(*[st.one_of(st.none(), st.floats())] * 3)
def test_any_gauge_is_valid(value: float | None, chance: float | None, floor: float | None) -> None:
    svg = gauge("g", "t", "d", value=value, chance=chance, floor=floor, words=("floor", "chance"))
    if svg:
        parsed(svg)


def test_the_gauge_stands_where_the_value_is() -> None:
    svg = gauge("g", "t", "d", value=1.0, chance=2.0, floor=0.0, words=("floor", "chance"))
    assert next(n for n in parsed(svg).iter() if n.tag == "circle").attrib["cx"] == "40%"
    assert gauge("g", "t", "d", value=1.0, chance=0.0, floor=2.0, words=("floor", "chance")) == ""


# --- markup ---------------------------------------------------------------------------------------


def test_a_coordinate_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        coordinate(math.nan)
    assert coordinate(-0.0001) == "0"


@given(TEXT)
def test_any_text_is_escaped(words: str) -> None:
    node = ET.fromstring(element("g", data_name='"' + words))
    assert node.attrib["data-name"].startswith('"')
