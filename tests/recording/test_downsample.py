"""Downsampling keeps what a person would look for."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losscope.core.errors import BadUsage
from losscope.recording import downsample
from losscope.recording.downsample import min_max
from losscope.recording.series import EMPTY, Series

DOUBLES = st.one_of(st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 0.0]))


def check(values: list[float], points: int) -> None:
    series = Series.of(range(len(values)), values)
    small = min_max(series, points)
    assert len(small) <= max(points, 0) or len(series) <= points
    assert list(small.steps) == sorted(set(small.steps.tolist()))
    assert small.values.tobytes() == series.values[small.steps].tobytes()
    if values:
        assert small.steps[0] == 0
        assert small.steps[-1] == len(values) - 1
    finite = [v for v in values if math.isfinite(v)]
    if finite:
        assert min(finite) in small.values
        assert max(finite) in small.values
    for kind in (np.isnan, np.isposinf, np.isneginf):
        assert kind(small.values).any() == kind(series.values).any()


@given(st.lists(DOUBLES, max_size=300), st.integers(7, 60))
def test_extremes_ends_and_non_finite_values_survive(values: list[float], points: int) -> None:
    check(values, points)


def test_a_spike_and_a_nan_in_a_million() -> None:
    values = np.linspace(2, 0.1, 1_000_000)
    values[123_457], values[777_777] = 1e6, math.nan
    small = min_max(Series.of(range(len(values)), values), 1000)
    assert 800 < len(small) <= 1000 or len(small) > 300
    assert 1e6 in small.values
    assert small.steps[np.isnan(small.values)].tolist() == [777_777]


def test_few_points_stay_as_they_are() -> None:
    series = Series.of([5, 3, 3], [1.0, math.nan, 2.0])
    assert min_max(series, 7) is series
    assert min_max(EMPTY, 7) is EMPTY


def test_too_few_points_are_refused() -> None:
    with pytest.raises(BadUsage):
        min_max(EMPTY, 6)


def test_planted_a_version_that_forgets_non_finite_values_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downsample, "_first_of_each", lambda indices, starts, ends: indices[:0])
    with pytest.raises(AssertionError):
        check([1.0] * 50 + [math.nan] + [1.0] * 50, 20)


def test_planted_plain_striding_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downsample, "_extremes", lambda values, finite, starts, ends: [starts])
    with pytest.raises(AssertionError):
        check([1.0] * 50 + [9.0] + [1.0] * 50, 20)
