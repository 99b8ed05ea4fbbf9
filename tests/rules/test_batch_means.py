"""The slope test: known answers, and error rates under autocorrelation that a naive test does not keep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.signal import lfilter

from losscope.rules.statistics.batch_means import change, covered_range, mean, trend


def ar1(n, phi, seed):
    noise = np.random.default_rng(seed).standard_normal(n + 200)
    return lfilter([1.0], [1.0, -phi], noise)[200:]


def naive_change_is_significant(values):
    """The planted wrong version: ordinary least squares over all values, independence assumed."""
    fit = stats.linregress(np.arange(len(values)), values)
    return fit.pvalue < 0.05


def batch_change_is_significant(values):
    moved = change(values)
    return moved is not None and moved.significant()


def rate(test, phi, runs=400, n=1000):
    return sum(test(ar1(n, phi, seed)) for seed in range(runs)) / runs


def test_a_straight_line_is_measured_exactly():
    moved = change(np.linspace(5.0, 3.0, 1001)[:-1])
    assert moved.value == pytest.approx(-2.0, rel=1e-9)
    assert moved.low == pytest.approx(moved.high, abs=1e-9)


def test_the_interval_is_that_of_ordinary_regression_on_ten_means():
    values = ar1(500, 0.5, 3) + np.linspace(0, 1, 500)
    means = values.reshape(10, 50).mean(axis=1)
    fit = stats.linregress(np.arange(10), means)
    moved = change(values)
    half = stats.t.ppf(0.975, 8) * fit.stderr * 10
    assert moved.value == pytest.approx(10 * fit.slope, rel=1e-12)
    assert moved.low == pytest.approx(10 * fit.slope - half, rel=1e-12)
    assert moved.high == pytest.approx(10 * fit.slope + half, rel=1e-12)


@pytest.mark.parametrize(("phi", "most"), [(0.0, 0.08), (0.5, 0.08), (0.9, 0.085)])
def test_flat_autocorrelated_noise_keeps_the_nominal_level(phi, most):
    assert rate(batch_change_is_significant, phi) <= most


def test_the_naive_slope_would_not_keep_it():
    assert rate(naive_change_is_significant, 0.9) > 0.25


def test_a_real_fall_in_strong_noise_is_found():
    found = [change(ar1(1000, 0.9, seed) - np.linspace(0, 10, 1000)).high < 0 for seed in range(50)]
    assert sum(found) >= 48


def test_the_mean_covers_the_truth_under_autocorrelation():
    covered = [mean(ar1(1000, 0.9, seed)).interval() for seed in range(400)]
    share = sum(low <= 0 <= high for low, high in covered) / 400
    assert share >= 0.91
    naive = [
        abs(np.mean(v)) <= 1.96 * np.std(v) / np.sqrt(1000) for v in (ar1(1000, 0.9, s) for s in range(400))
    ]
    assert sum(naive) / 400 < 0.5


def test_converged_needs_an_interval_and_not_merely_no_significance():
    quiet = 1.0 + 0.001 * ar1(1000, 0.5, 1)
    noisy = 1.0 + 1.0 * ar1(1000, 0.5, 1)
    assert trend(quiet, scale=2.3).direction == "converged"
    assert trend(noisy, scale=2.3).direction == "undecided"


def test_directions():
    line = np.linspace(1.0, 0.0, 400)
    assert trend(line, scale=1.0).direction == "falling"
    assert trend(-line, scale=1.0).direction == "rising"
    assert trend(line, scale=1.0).change.value == pytest.approx(-0.5, rel=0.01)


def test_a_curve_without_any_range_is_never_called_converged():
    assert trend(np.ones(400), scale=0.0).direction == "undecided"


def test_too_short_a_window_has_no_answer():
    assert change(np.ones(19)) is None
    assert trend(np.ones(39), scale=1.0) is None


def test_non_finite_values_are_left_out():
    values = np.linspace(5.0, 3.0, 1000)
    spoiled = np.insert(values, [100, 500], [np.nan, np.inf])
    assert change(spoiled).value == pytest.approx(change(values).value, rel=1e-9)


@given(st.integers(0, 10_000), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_scaling_and_shifting_the_loss_changes_nothing(seed, factor, shift):
    values = ar1(200, 0.7, seed) + np.linspace(3, 0, 200)
    moved, other = change(values), change(factor * values + shift)
    tolerance = 1e-9 * factor + 1e-10 * abs(shift)
    assert other.low == pytest.approx(factor * moved.low, rel=1e-6, abs=tolerance)
    assert other.high == pytest.approx(factor * moved.high, rel=1e-6, abs=tolerance)
    assert covered_range(factor * values + shift) == pytest.approx(factor * covered_range(values), rel=1e-6)
