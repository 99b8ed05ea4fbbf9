"""The CUSUM: run lengths against their known values, invariance, healthy shapes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losscope.rules.lasting_rise import rise_of
from losscope.rules.planted import falling, normal
from losscope.rules.statistics.cusum import cusum, departure, log_scale


def test_mean_run_length_to_a_false_alarm_is_that_of_the_tables():
    """ARL of the one-sided CUSUM with k = 0.5, h = 4 is 336 (Montgomery, Statistical Quality Control, table 9.3)."""
    lengths = [cusum(normal(6000, seed), h=4.0) for seed in range(300)]
    known = [length + 1 for length in lengths if length is not None]
    assert len(known) == 300
    assert np.mean(known) == pytest.approx(336, rel=0.15)


def test_a_shift_of_one_sigma_is_found_within_the_expected_delay():
    """(h + 1.17)/(δ − k) ≈ 18 observations for δ = 1, h = 8 (Siegmund's approximation)."""
    delays = [cusum(normal(400, seed) + 1.0) for seed in range(200)]
    assert np.mean(delays) == pytest.approx((8 + 1.166) / 0.5, rel=0.2)


def test_without_the_reset_at_zero_a_fall_would_hide_a_rise():
    """The planted wrong version: a plain cumulative sum."""
    z = np.concatenate([np.full(100, -2.0), np.full(40, 2.0)])
    plain = np.flatnonzero(np.cumsum(z - 0.5) > 8)
    assert plain.size == 0
    assert cusum(z) == 105


def test_the_alarm_comes_soon_after_the_planted_rise():
    loss = falling(1000)
    loss[600:] = loss[:400][::-1].max() * (1 + 0.05 * normal(400, 4))
    seen = departure(loss)
    assert seen.alarm
    assert 580 <= seen.onset <= 660


@given(st.integers(0, 1000), st.sampled_from([1e-6, 1.0, 1000.0]), st.floats(-100, 100))
def test_divergence_does_not_depend_on_unit_or_offset(seed, factor, shift):
    loss = falling(300, seed=seed)
    risen = np.concatenate([loss, 0.1 * np.exp(np.arange(300) / 60)])
    for curve in (loss, risen):
        plain, other = rise_of(curve), rise_of(factor * (curve + shift))
        assert (plain is None) == (other is None)
    assert rise_of(risen) is not None
    assert rise_of(loss) is None


def test_likelihoods_below_zero_have_a_log_scale():
    y = log_scale(np.array([-3.0, -2.0, -1.0, 0.0, 5.0]))
    assert np.isfinite(y).all()
    assert (np.diff(y) > 0).all()
    assert log_scale(np.ones(5)).tolist() == [0.0] * 5
    assert log_scale(np.array([])).size == 0


@pytest.mark.parametrize("factor", [3.0, 30.0])
def test_growth_from_the_first_update_is_a_rise(factor):
    loss = np.geomspace(2.3, 2.3 * factor, 400) * np.exp(0.02 * normal(400, 5))
    found = rise_of(loss)
    assert found is not None
    assert found.end > 0.8 * 2.3 * factor


def test_lone_spikes_and_recoveries_are_none():
    loss = falling(1000, end=0.5)
    loss[[400, 700, 995]] *= 50
    assert rise_of(loss) is None
    recovering = falling(1000, end=0.3)
    recovering[600:] = falling(400, start=2.0, end=0.9, seed=2)
    assert rise_of(recovering) is None


def test_short_and_constant_curves_have_no_answer():
    assert departure(np.ones(9)) is None
    assert rise_of(np.ones(500)) is None
