"""Overfitting: the paired trend against noise, selection of the minimum, and real divergence."""

import numpy as np
import pytest

from losscope.recording.series import Series
from losscope.rules.overfitting import training_at
from losscope.rules.planted import normal
from losscope.rules.statistics.paired_trend import paired_trend


def settled(seed, n=30, noise=0.02):
    time = np.arange(n)
    return 0.5 + np.exp(-time / 4) + noise * normal(n, seed)


def training(n=30):
    return np.linspace(1.0, 0.1, n)


def last_above_minimum(validation, _):
    """The planted wrong version: compares with the smallest value itself."""
    rest = validation[int(np.argmin(validation)) :]
    return len(rest) > 3 and rest[-3:].mean() - validation.min() > 2 * np.std(
        np.diff(validation[-10:])
    ) / np.sqrt(3)


def test_noise_about_a_flat_level_is_silent_where_a_naive_test_is_not():
    alarms = [t.diverging for s in range(300) if (t := paired_trend(settled(s), training())) is not None]
    assert sum(alarms) == 0
    assert sum(last_above_minimum(settled(s), None) for s in range(300)) > 15


@pytest.mark.parametrize("n", [8, 12, 30, 100])
def test_a_clear_rise_is_found(n):
    time = np.arange(n)
    best = n // 3
    validation = 0.5 + np.where(time < best, 0.1 * (best - time), 0.05 * (time - best)) + 0.005 * normal(n, 2)
    found = paired_trend(validation, training(n))
    assert found.diverging
    assert abs(found.best - best) <= 1
    assert found.low < found.rise


def test_no_overfitting_where_training_rises_too():
    rising = 0.5 + 0.05 * np.arange(20)
    assert not paired_trend(np.r_[0.6, 0.55, rising], np.r_[0.6, 0.55, rising]).diverging


def test_too_little_is_no_answer():
    assert paired_trend(np.ones(5), np.ones(5)) is None
    assert paired_trend(np.arange(10.0)[::-1], np.ones(10)) is None  # the best is the last


def test_training_level_is_that_between_evaluations():
    loss = Series(np.arange(6), np.array([6.0, 5.0, 4.0, 3.0, np.nan, 1.0]))
    found = training_at(np.array([1, 3, 3, 5]), loss)
    assert found[[0, 1, 3]].tolist() == [5.5, 3.5, 1.0]
    assert np.isnan(found[2])
