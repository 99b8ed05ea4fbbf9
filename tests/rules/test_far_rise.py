"""A loss that explodes from its first update on is diverging, however wildly its last values jump about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losscope.rules import lasting_rise
from losscope.rules.judge import judge_run
from losscope.rules.lasting_rise import far_rise
from losscope.rules.planted import PlantedTerm, falling, normal, record

UNKNOWN = PlantedTerm(kind="mse", chance=None, floor=None)
TIME = np.arange(100)
RISES = {
    "at once": np.minimum(1.0, TIME / 4),
    "saturating": 1 - np.exp(-TIME / 10),
    "steady": TIME / 100,
}


def exploding(name: str, seed: int = 0) -> np.ndarray:
    """From 1.5e7 to 1.6e11 in a hundred updates, each value wrong by 100 %."""
    return 1.5e7 * np.exp(9.3 * RISES[name] + normal(100, seed))


@pytest.mark.parametrize("name", RISES)
@pytest.mark.parametrize("term", [PlantedTerm(kind="mse", chance=1.55, chance_error=0.01), UNKNOWN])
def test_an_explosion_from_the_first_update_on_diverges(name, term):
    for seed in range(5):
        verdict = judge_run(record(exploding(name, seed), terms=[term]))
        assert (verdict.state, verdict.training.status) == ("wrong", "diverged")
        assert verdict.findings[0].code == "diverging-loss"


def test_the_test_of_absolute_size_alone_misses_it(monkeypatch):
    """The planted wrong version: without the ratio, noise that grows with the loss hides the rise."""
    monkeypatch.setattr(lasting_rise, "FAR_RATIO", np.inf)
    assert judge_run(record(exploding("at once"), terms=[UNKNOWN])).training.status != "diverged"


@settings(max_examples=30)
@given(st.floats(1e-3, 1e9), st.integers(0, 200))
def test_the_unit_of_the_loss_does_not_matter(factor, seed):
    curve = np.exp(6 * RISES["saturating"] + normal(100, seed))
    assert (far_rise(curve) is None) == (far_rise(factor * curve) is None)


HARMLESS = {
    "single samples": np.random.default_rng(2).gamma(0.7, 1.0, 400),
    "a first batch by luck": np.concatenate([[1e-4], 2.3 * np.exp(0.3 * normal(200, 1))]),
    "a burst that is coming down": np.concatenate(
        [[1.0] * 3, 1e6 * np.exp(-np.arange(200) / 25) * np.exp(0.1 * normal(200, 3))]
    ),
    "likelihoods below zero": np.concatenate([[-3.0] * 3, np.geomspace(1e-3, 1e3, 200)]),
    "a copy of the teacher": np.concatenate([[1e-9] * 3, 0.01 * np.exp(0.5 * normal(200, 4))]),
    "a jump at the very end": np.concatenate([falling(300), [1e9] * 10]),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_no_explosion(name):
    assert far_rise(HARMLESS[name]) is None


def test_a_rise_below_chance_is_none_where_chance_is_known():
    curve = np.exp(np.linspace(np.log(1e-4), np.log(0.5), 200))
    assert far_rise(curve) is not None
    assert far_rise(curve, scale=2.3) is None


def test_objectives_in_alternation_and_moving_targets_are_left_alone():
    """The guards of the rule stand before the test of the ratio."""
    surrogate = PlantedTerm(kind="policy_gradient", floor=None, options={"value_is_progress": False})
    codes = {f.code for f in judge_run(record(exploding("steady"), terms=[surrogate])).findings}
    assert "diverging-loss" not in codes
