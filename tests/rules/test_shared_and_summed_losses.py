"""Runs in other people's styles: shared losses, accumulated updates, sums, silent inputs, steep starts."""

import numpy as np

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.curve import has_fallen
from losscope.rules.judge import judge_run
from losscope.rules.planted import (
    TEN_CLASSES,
    Planted,
    PlantedTerm,
    every,
    falling,
    flat,
    normal,
    optimizer,
    record,
)
from losscope.rules.summary import term_summaries
from losscope.rules.terms import natural_scale, terms


def _shared(second: np.ndarray) -> Recording:
    loss = falling()
    events = [
        {
            "kind": "anatomy",
            "stream": "1",
            "step": 0,
            "terms": [{"kind": "cross_entropy", "coefficient": 1.0}],
        }
    ]
    return record(loss, series={(signals.LOSS, "1"): every(1, 600, second)}, events=events)


def test_two_optimisers_of_one_loss_list_its_terms_once():
    assert len(term_summaries(_shared(falling()))) == 1
    assert len(term_summaries(_shared(falling(seed=1)))) == 2


def _accumulated(factor: float) -> Recording:
    loss = falling(noise=0.02)
    sample = every(20, 600, factor * loss[::20] * np.exp(0.05 * normal(30, 4)))
    series = {
        (signals.BACKWARDS, "0"): every(1, 600, 2.0),
        (signals.TERM_VALUE, "0/0"): sample,
    }
    return record(loss, series=series)


def test_an_accumulated_loss_is_its_term_although_the_sample_saw_one_batch():
    recording = _accumulated(1.0)
    assert terms(recording, "0")[0].is_whole_loss
    assert natural_scale(recording, "0") == TEN_CLASSES.chance
    assert not terms(_accumulated(0.5), "0")[0].is_whole_loss


def test_a_steep_start_does_not_hide_a_fall():
    steep = np.concatenate([[1.33, 0.58, 0.34], 0.29 + 0.03 * normal(21, 0)])
    assert has_fallen(steep, sigmas=1.5)
    assert not has_fallen(0.29 + 0.03 * normal(24, 0), sigmas=1.5)


def _layers(weight: float, bias: float) -> Recording:
    norms = {"0.weight": weight, "0.bias": bias, "2.weight": 0.3, "2.bias": 0.5}
    series = {
        (signals.GRADIENT_NORM_PARAMETER, name): every(20, 600, norm) for name, norm in norms.items()
    } | {(signals.PARAMETER_NORM, name): every(20, 600, 1.0) for name in norms}
    return record(
        flat(),
        series={**series, (signals.GRADIENT_NORM, "0"): every(20, 600, 0.6)},
        events=[optimizer(tuple(norms))],
    )


def test_inputs_that_are_all_zero_are_no_vanishing_gradient():
    findings = judge_run(_layers(0.0, 0.2)).findings
    assert findings[0].code == "loss-at-chance"
    assert "0.weight" in findings[0].evidence[1].text.render("en")
    assert "vanishing-gradient" not in {f.code for f in findings}


def test_large_steps_of_biases_alone_are_no_learning_rate_fault():
    def codes(weight: float) -> set[str]:
        recording = _layers(weight, 0.2)
        series = {**recording_series(recording), (signals.UPDATE_RATIO, "0"): every(20, 600, 0.3)}
        return {f.code for f in judge_run(Recording.from_memory(series, recording.events, {})).findings}

    assert "learning-rate-too-high" not in codes(0.0)
    assert "learning-rate-too-high" in codes(0.2)


def recording_series(recording: Recording) -> Planted:
    kinds = (signals.LOSS, signals.TERM_VALUE, signals.TERM_CHANCE, signals.TERM_CHANCE_ERROR)
    kinds += (signals.GRADIENT_NORM_PARAMETER, signals.PARAMETER_NORM, signals.GRADIENT_NORM)
    found = {(s, label): recording.series(s, label) for s in kinds for label in recording.labels(s)}
    return {key: (series.steps, series.values) for key, series in found.items()}


def test_a_layer_whose_bias_gets_nothing_either_has_a_vanished_gradient():
    assert judge_run(_layers(1e-9, 1e-9)).findings[0].code == "vanishing-gradient"


def test_a_term_sampled_at_chance_is_still_learnt_while_the_whole_loss_falls():
    loss = np.linspace(4.0, 1.0, 600) + 0.05 * normal(600, 2)
    stale = {(signals.TERM_VALUE, "0/0"): every(20, 600, 2.31)}
    two = (TEN_CLASSES, PlantedTerm(kind="gaussian_kl"))
    codes = {f.code for f in judge_run(record(loss, terms=two, series=stale)).findings}
    assert "loss-at-chance" not in codes
    level = {f.code for f in judge_run(record(flat(level=2.4), terms=two, series=stale)).findings}
    assert "loss-at-chance" in level


def test_a_loss_that_fell_to_chance_does_not_work():
    loss = falling(start=9.0, end=2.303, noise=0.01)
    sentence = judge_run(record(loss)).sentence.render("en")
    assert "Training works" not in sentence


def _sum(elements: int | None) -> str:
    recording = record(64 * falling(), terms=())
    event = {
        "kind": "anatomy",
        "stream": "0",
        "step": 0,
        "terms": [{"kind": "cross_entropy", "coefficient": 1.0, "reduction": "sum", "elements": elements}],
    }
    series: Planted = {(signals.LOSS, "0"): every(1, 600, 64 * falling())}
    return judge_run(Recording.from_memory(series, [event, *recording.events], {})).sentence.render("en")


def test_a_sum_is_also_told_per_element():
    assert "per element" in _sum(64)
    assert "per element" not in _sum(None)
