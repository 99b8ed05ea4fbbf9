"""Skill and its interval: closed forms, coverage with an estimated chance level."""

import numpy as np
import pytest

from losscope.rules.statistics.skill import skill


def test_known_values():
    assert skill(np.full(50, 0.25), 1.0).value == pytest.approx(0.75)
    perfect = skill(np.zeros(50), 2.3)
    assert (perfect.value, perfect.low, perfect.high) == (1.0, 1.0, 1.0)
    assert skill(np.full(50, 3.0), 2.0).value == pytest.approx(-0.5)


def test_the_error_of_chance_widens_the_interval_as_the_delta_method_says():
    level = np.full(50, 1.0)  # no error of its own: only that of the chance level is left
    found = skill(level, 2.0, chance_error=0.1)
    from scipy import stats

    half = stats.t.ppf(0.975, 9) * 1.0 * 0.1 / 2.0**2
    assert found.high - found.value == pytest.approx(half, rel=1e-9)


def test_skill_is_the_share_of_the_way_from_chance_to_the_floor():
    assert skill(np.full(50, 1.25), 2.0, floor=0.5).value == pytest.approx(0.5)
    assert skill(np.full(50, 0.5), 2.0, floor=0.5).value == 1.0
    assert skill(np.full(50, -1.0), 1.0, floor=-3.0).value == pytest.approx(0.5)  # a density
    without_floor = 1 - 1.25 / 2.0  # the planted wrong version
    assert without_floor != pytest.approx(0.5)


def test_the_error_of_chance_counts_by_the_distance_from_the_floor():
    """Against draws of the chance level: the spread of 1 − (L − F)/(C − F) for C ~ N(2, 0.02²)."""
    draws = 2.0 + 0.02 * np.random.default_rng(0).standard_normal(200_000)
    spread = np.std(1 - (1.25 - 0.5) / (draws - 0.5))
    from scipy import stats

    found = skill(np.full(50, 1.25), 2.0, chance_error=0.02, floor=0.5)
    assert (found.high - found.value) / stats.t.ppf(0.975, 9) == pytest.approx(spread, rel=0.01)


@pytest.mark.parametrize("chance", [0.5, 0.4, 0.5 + 1e-12])
def test_no_skill_where_chance_is_not_above_the_floor(chance):
    assert skill(np.ones(20), chance, floor=0.5) is None


def coverage(use_error):
    """Share of simulated runs at chance whose interval contains the true skill 0."""
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        chance = 1.0 + 0.02 * rng.standard_normal()
        values = 1.0 + 0.05 * rng.standard_normal(200)
        found = skill(values, chance, 0.02 if use_error else 0.0)
        covered += found.low <= 0 <= found.high
    return covered / 300


def test_the_interval_covers_only_if_it_carries_the_error_of_chance():
    assert coverage(use_error=True) >= 0.93
    assert coverage(use_error=False) < 0.6  # the planted wrong version


def test_at_chance_needs_a_narrow_interval():
    rng = np.random.default_rng(1)
    assert skill(2.3 + 0.02 * rng.standard_normal(200), 2.3).at_chance()
    assert not skill(2.3 + 3.0 * rng.standard_normal(20), 2.3).at_chance()
    assert not skill(np.full(100, 2.0), 2.3).at_chance()


@pytest.mark.parametrize("chance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_meaningless_chance_level_gives_no_skill(chance):
    assert skill(np.ones(20), chance) is None
