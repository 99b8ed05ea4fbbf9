"""Robust scales: known answers on the normal law, resistance to outliers."""

import numpy as np
import pytest

from losscope.rules.statistics.robust import (
    block_means,
    block_medians,
    curvature_scale,
    difference_scale,
    finite,
    mad_scale,
    spikes,
)

NORMAL = np.random.default_rng(7).standard_normal(20_000)


@pytest.mark.parametrize("scale", [mad_scale, difference_scale, curvature_scale])
def test_normal_noise_has_unit_scale(scale):
    assert scale(NORMAL) == pytest.approx(1.0, abs=0.03)
    assert scale(1000 * NORMAL + 5) == pytest.approx(1000 * scale(NORMAL), rel=1e-9)


def test_a_planted_plain_standard_deviation_would_be_moved_by_outliers():
    spoiled = NORMAL[:1000].copy()
    spoiled[:100] = 1e6
    assert mad_scale(spoiled) < 1.3
    assert np.std(spoiled) > 1e5


def test_trends_cancel():
    line, bend = np.linspace(0, 1000, 5000), np.linspace(-30, 30, 5000) ** 2
    assert difference_scale(NORMAL[:5000] + line) == pytest.approx(1.0, abs=0.06)
    assert curvature_scale(NORMAL[:5000] + bend) == pytest.approx(1.0, abs=0.06)


def test_blocks_cover_every_value_once():
    values = np.arange(103.0)
    means = block_means(values, 10)
    assert means.size == 10
    sizes = np.diff(np.linspace(0, 103, 11).round().astype(int))
    assert float(means @ sizes) == pytest.approx(values.sum())
    assert block_means(values[:4], 10).tolist() == [0, 1, 2, 3]
    assert block_medians(np.array([1.0, 1.0, 99.0, 2.0, 2.0, -99.0]), 2).tolist() == [1.0, 2.0]


def test_empty_and_non_finite():
    assert finite(np.array([1.0, np.nan, np.inf, 2.0])).tolist() == [1.0, 2.0]
    assert np.isnan(mad_scale(np.array([np.nan])))
    assert block_means(np.array([]), 10).size == 0
    assert spikes(np.ones(5)).size == 0


def test_spikes_are_found_where_they_are():
    values = 1 + 0.1 * NORMAL[:500]
    values[[100, 300]] = 5.0
    assert spikes(values).tolist() == [100, 300]
