"""Cosine schedules that rise again, and spikes: planted, and their harmless neighbours."""

import numpy as np
import pytest

from losscope.recording import signals
from losscope.rules.judge import judge_run
from losscope.rules.loss_spikes import spikes_of
from losscope.rules.planted import PLACE, every, falling, normal, optimizer, record


def cosine(horizon, rise, n=800):
    at = np.arange(n)
    rates = 0.05 * (1 + np.cos(np.pi * at / horizon))
    loss = (0.3 + 2.0 * np.exp(-at / 80) + rise * np.maximum(0, at - horizon) / n) * np.exp(
        0.02 * normal(n, 1)
    )
    series = {
        (signals.LEARNING_RATE, "0/0"): (at, rates),
        (signals.SCHEDULER_STEPS, "0/0"): (at, at + 1.0),
        (signals.EPOCH, ""): every(200, n, 0.0),
    }
    event = {
        "kind": "scheduler",
        "stream": "0",
        "scheduler": "0",
        "name": "CosineAnnealingLR",
        "counted": True,
        "T_max": horizon,
        "where": PLACE,
    }
    return {f.code for f in judge_run(record(loss, series=series, events=[optimizer(), event])).findings}


@pytest.mark.parametrize(
    ("horizon", "rise", "broken"), [(500, 0.6, True), (500, 0.0, False), (800, 0.6, False)]
)
def test_a_cosine_past_its_end_matters_where_the_loss_rises_with_it(horizon, rise, broken):
    assert ("schedule-broken" in cosine(horizon, rise)) == broken


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_spikes_are_found_where_they_are_in_any_unit(factor):
    loss = falling(1000, end=0.3, noise=0.03)
    for begin in (400, 700):
        loss[begin : begin + 8] *= 5
    assert [(b, e) for b, e, _ in spikes_of(factor * loss)] == [(400, 408), (700, 708)]


def test_a_step_to_another_level_and_a_single_batch_are_no_spikes():
    step = np.concatenate([falling(500, end=0.3, noise=0.03), falling(500, start=0.9, end=0.9, noise=0.03)])
    step[[200, 800]] *= 20
    assert spikes_of(step) == []
