"""Harmless runs that resemble faults, and faults that resemble harmless runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.judge import judge_run
from losscope.rules.planted import (
    PARAMETERS,
    PlantedTerm,
    every,
    falling,
    flat,
    normal,
    optimizer,
    reach,
    record,
)

UNKNOWN = PlantedTerm(kind="mse", chance=None, floor=None)


def complaints(recording):
    return {f.code for f in judge_run(recording).findings if f.severity != "info"}


def infos(recording):
    return {f.code for f in judge_run(recording).findings if f.severity == "info"}


def setback(recovers_to):
    """The first updates throw the loss to thirty times chance; it comes back part of the way."""
    time = np.arange(600)
    return recovers_to + np.where(time > 0, 60 * np.exp(-time / 20), 0) + 0.02 * normal(600, 1)


@pytest.mark.parametrize(
    ("end", "ratio", "expected"), [(2.0, 0.7, True), (0.6, 0.7, False), (2.0, 0.01, False)]
)
def test_a_setback_that_was_never_made_up_for_is_a_learning_rate(end, ratio, expected):
    """Not where the run learnt after all, nor where no update was large."""
    loss = setback(end)
    loss[0] = 2.3
    steps = {(signals.UPDATE_RATIO, "0"): every(20, 600, np.r_[0.5, ratio, np.full(28, 0.001)])}
    verdict = judge_run(record(loss, series=steps))
    assert ("learning-rate-too-high" in {f.code for f in verdict.findings}) == expected
    if not expected:
        assert "from 2.3 to" in str(verdict.sentence)


def test_without_a_chance_level_there_is_no_setback():
    """The zero of such a loss means nothing, so that a multiple of its first value does not either."""
    loss = setback(2.0)
    loss[0] = 2.3
    steps = {(signals.UPDATE_RATIO, "0"): every(20, 600, np.r_[0.5, 0.7, np.full(28, 0.001)])}
    assert "learning-rate-too-high" not in complaints(record(loss, terms=[UNKNOWN], series=steps))


def test_a_loss_hardly_below_chance_is_not_said_to_work():
    sentence = str(judge_run(record(falling(600, start=2.31, end=2.2, noise=0.001))).sentence)
    assert "hardly better than a constant answer" in sentence


def test_longer_training_is_no_advice_after_the_best_validation():
    loss = np.linspace(2.3, 0.4, 600) * np.exp(0.02 * normal(600, 2))
    for validation, advice in [([2.0, 1.5, 1.0], "Train longer"), ([2.0, 1.0, 1.2, 1.3], "validation loss")]:
        (found,) = [
            f for f in judge_run(record(loss, validation=validation)).findings if f.code == "still-falling"
        ]
        assert advice in str(found.remedy)


@settings(max_examples=12)
@given(st.integers(0, 500), st.sampled_from([1e-3, 1.0, 1000.0]), st.floats(-50, 50))
def test_unit_and_offset_of_a_loss_of_unknown_levels_change_no_verdict(seed, factor, shift):
    for loss in (falling(200, seed=seed), flat(200, seed=seed), falling(200, seed=seed)[::-1].copy()):
        plain = judge_run(record(loss, terms=[UNKNOWN]))
        other = judge_run(record(factor * (loss + shift), terms=[UNKNOWN]))
        assert [f.code for f in plain.findings] == [f.code for f in other.findings]
        assert (plain.state, plain.training.status) == (other.state, other.training.status)


HEALTHY = {
    "summed over a large batch": 1e6 * falling(),
    "negative log-likelihood": falling() - 3.0,
    "loss above one": falling(start=9.0, end=4.0, noise=0.02),
    "grokking": np.concatenate([flat(900, 1.1), falling(300, start=1.1)]),
    "warm-up from zero": np.concatenate([flat(100, 2.3, 0.01), falling(900)]),
    "batch of one": falling(2000) * np.random.default_rng(3).exponential(1.0, 2000),
    "single batches go wrong": np.where(np.arange(600) % 150 == 149, 9.0, falling()),
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("term", [UNKNOWN, None])
def test_healthy_shapes_are_silent(name, term):
    loss = HEALTHY[name]
    chance = PlantedTerm(chance=float(np.median(loss[:20])), chance_error=0.01, floor=0.0)
    kept = term or (chance if loss.min() > 0 else UNKNOWN)
    assert complaints(record(loss, terms=[kept])) == set()


def test_rising_targets_of_reinforcement_learning_are_not_divergence():
    rising = np.geomspace(0.01, 1.0, 800) * np.exp(0.2 * normal(800, 1))
    spread = {(signals.TARGET_STD, "0/0"): every(20, 800, np.geomspace(0.1, 5.0, 40))}
    assert "diverging-loss" not in complaints(record(rising, terms=[UNKNOWN], series=spread))
    assert "diverging-loss" in complaints(record(rising, terms=[UNKNOWN]))


def test_a_policy_gradient_is_not_judged_on_its_value():
    term = PlantedTerm(kind="policy_gradient", floor=None, options={"value_is_progress": False})
    verdict = judge_run(record(np.linspace(-1, 3, 600), terms=[term]))
    assert verdict.state == "healthy"
    assert "value-is-not-progress" in {f.code for f in verdict.findings}
    assert "does not measure progress" in verdict.sentence.render()


def test_chance_of_an_imbalanced_task_is_its_own():
    majority = record(flat(level=0.325), terms=[PlantedTerm(chance=0.325, chance_error=0.003)])
    learnt = record(flat(level=0.2), terms=[PlantedTerm(chance=0.325, chance_error=0.003)])
    assert complaints(majority) == {"loss-at-chance"}
    assert complaints(learnt) == set()


def test_chance_is_not_judged_before_one_pass_over_the_data():
    early = record(flat(200), series={(signals.EPOCH, ""): every(200, 200, 0.0)})
    unfinished = Recording.from_memory(
        {("loss", "0"): flat(200), ("epoch", ""): ([0], [0.0])},
        [e for e in early.events if e["event"] == "anatomy"],
    )
    assert complaints(unfinished) == set()
    assert complaints(early) == {"loss-at-chance"}  # the script finished: that was one pass


def test_rising_accuracy_is_learning_although_the_loss_is_at_chance():
    accuracy = {(signals.ACCURACY, "0/0"): every(20, 600, np.linspace(0.1, 0.6, 30))}
    assert complaints(record(flat(), series=accuracy)) == set()


def test_one_term_at_chance_among_learning_ones_is_a_warning():
    terms = [PlantedTerm(chance=2.303, chance_error=0.001), PlantedTerm(kind="mse", chance=50.0)]
    found = [f for f in judge_run(record(flat(), terms=terms)).findings if f.code == "loss-at-chance"]
    assert [f.severity for f in found] == ["warning"]


def test_accumulated_losses_keep_their_scale():
    """Four backward passes per update, not divided: the loss is four times the term."""
    series = {
        (signals.BACKWARDS, "0"): every(1, 600, 4.0),
        (signals.TERM_VALUE, "0/0"): every(20, 600, falling()[::20]),
    }
    verdict = judge_run(record(4 * falling(), series=series))
    assert verdict.terms[0].value == pytest.approx(0.05, rel=0.3)
    assert "% of chance" not in verdict.sentence.render()
    assert verdict.training.status == "converged"


REACH = {
    "an unused head": (reach(PARAMETERS[:4], PARAMETERS), {"parameters-not-optimised"}),
    "a cut at the start": (reach(PARAMETERS[2:], PARAMETERS), {"graph-broken"}),
    "an expert that is seen later": (reach(PARAMETERS, PARAMETERS), set()),
    "a stale model": (reach(["new.0.weight", "new.1.weight"], PARAMETERS), {"parameters-not-optimised"}),
    "an input that requires a gradient": (reach([*PARAMETERS, "tensor[64,10]"], PARAMETERS), set()),
    "frozen parts given to the optimiser": (reach(PARAMETERS[3:], PARAMETERS, frozen=PARAMETERS[:3]), set()),
    "a layer that is missing": (
        reach([*PARAMETERS, "extra.weight"], PARAMETERS),
        {"parameters-not-optimised"},
    ),
    "a feature extractor": (reach([*(f"b{i}.weight" for i in range(40)), *PARAMETERS], PARAMETERS), set()),
}


@pytest.mark.parametrize("name", REACH)
def test_what_is_reached_and_what_is_held(name):
    event, expected = REACH[name]
    assert complaints(record(falling(), events=[optimizer(), event])) == expected


def test_a_parameter_that_once_had_a_gradient_is_reached():
    series = {(signals.GRADIENT_NORM_PARAMETER, name): every(20, 600, 0.1) for name in PARAMETERS[:2]}
    event = reach(PARAMETERS[2:], PARAMETERS)
    assert complaints(record(falling(), events=[optimizer(), event], series=series)) == set()


def test_loose_parameters_that_lead_the_list_are_no_layer():
    names = ("mask_token", *PARAMETERS)
    event = reach(PARAMETERS, names)
    assert "graph-broken" not in complaints(record(falling(), events=[optimizer(names), event]))


@pytest.mark.parametrize(("share", "expected"), [(1.0, True), (0.95, True), (0.5, False), (0.0, False)])
def test_gradients_kept_sometimes_are_no_missing_zero_grad(share, expected):
    stale = (np.arange(600) % 100 < 100 * share).astype(float)
    found = complaints(record(falling(), series={(signals.STALE_GRADIENT, "0"): every(1, 600, stale)}))
    assert ("missing-zero-grad" in found) is expected


@pytest.mark.parametrize("bad", [[100], [100, 101, 102]])
def test_a_passing_nan_is_a_warning_and_a_lasting_one_an_error(bad):
    loss = falling()
    loss[bad] = np.nan
    assert next((f.code, f.severity) for f in judge_run(record(loss)).findings) == ("non-finite", "warning")
    loss[300:] = np.nan
    assert next((f.code, f.severity) for f in judge_run(record(loss)).findings) == ("non-finite", "error")


def test_warm_up_is_not_a_low_learning_rate():
    series = {
        (signals.UPDATE_RATIO, "0"): every(20, 200, 1e-6),
        (signals.LEARNING_RATE, "0/0"): every(1, 200, np.linspace(1e-9, 1e-6, 200)),
    }
    assert "learning-rate-too-low" not in complaints(record(flat(200), series=series))
    series[signals.LEARNING_RATE, "0/0"] = every(200, 200, 1e-6)
    assert "learning-rate-too-low" in complaints(record(flat(200), series=series))


def test_a_small_final_rate_after_a_decay_is_no_low_learning_rate():
    ratios = np.geomspace(1e-2, 1e-9, 30)
    rates = {(signals.UPDATE_RATIO, "0"): every(20, 600, ratios)}
    assert complaints(record(falling(), series=rates)) == set()
    assert "learning-rate-too-low" not in complaints(record(flat(), series=rates))


def test_early_samples_of_a_term_say_nothing_about_the_end():
    """Two terms, sampled in the first hundred updates only, when the loss was still at chance."""
    terms = [PlantedTerm(chance=2.303, chance_error=0.001), PlantedTerm(kind="l2_penalty", coefficient=0.01)]
    loss = np.concatenate([flat(100), falling(900)])
    series = {(signals.TERM_VALUE, f"0/{i}"): every(20, 100, 2.303 * (1 - i)) for i in range(2)}
    verdict = judge_run(record(loss, terms=terms, series=series))
    assert verdict.state == "healthy"
    assert verdict.terms[0].value is None
    assert {"loss-at-chance", "loss-at-floor"} <= {code for code, _ in verdict.not_judged}


def test_a_signed_cross_entropy_is_a_policy_gradient():
    loss = 0.05 * normal(600, 3)
    recording = record(loss, terms=[PlantedTerm(kind="cross_entropy", chance=0.69)])
    assert complaints(recording) == set()
    assert "value-is-not-progress" in infos(recording)


def test_a_thinned_series_is_judged_on_even_spacing():
    """Dense at first, every 16th update later: the last half of the *run* has converged."""
    loss = falling(16_000)
    steps = np.concatenate([np.arange(4000), np.arange(4000, 16_000, 16)])
    recording = Recording.from_memory({("loss", "0"): (steps, loss[steps])})
    verdict = judge_run(recording)
    assert verdict.training.steps == 15_985
    assert verdict.training.status == "converged"


def test_short_runs_are_left_alone():
    for n in (1, 2, 5, 29):
        verdict = judge_run(record(flat(n)))
        assert verdict.state == "not-enough-evidence"
        assert infos(record(flat(n))) == {"too-few-steps"}


@pytest.mark.parametrize(
    ("rise", "scale", "expected"), [(0.1, 1.0, False), (0.4, 1.0, True), (0.1, 64.0, True)]
)
def test_a_validation_loss_that_gives_back_little_of_what_was_learnt(rise, scale, expected):
    """First evaluated after an epoch, at 0.5 of 2.3: 0.1 is a twentieth of what was gained, 0.4 a fifth.

    Where it is a sum and the training loss a mean, nothing is known of the time before its first value.
    """
    time = np.arange(20)
    validation = scale * (0.5 + rise * np.maximum(0, time - 1) / 18 + 0.001 * normal(20, 3))
    validation[0] = np.nan  # none before the training
    training = falling(600, end=0.1, noise=0.05)
    found = complaints(record(training, validation=validation))
    assert ("overfitting" in found) == expected
