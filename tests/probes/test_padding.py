"""Padding is found in every layout of a batch, and never in labels that have none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losscope.probes import padding as module
from losscope.probes.padding import padding


def _sentences(seed, rows=16, steps=14, classes=20, pad=0):
    rng = np.random.default_rng(seed)
    table = rng.integers(2, classes, (rows, steps))
    for row in table:
        row[rng.integers(2, steps) :] = pad
    return table


LAYOUTS = [lambda t: t, lambda t: t.T, lambda t: t.reshape(-1), lambda t: t.T.reshape(-1)]


@pytest.mark.parametrize("layout", range(4))
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), pad=st.sampled_from([0, 1, 19, 25]))
def test_padding_is_found_in_every_layout(layout, seed, pad):
    table = _sentences(seed, pad=pad)
    counts = np.bincount(table.reshape(-1))
    found = padding(LAYOUTS[layout](table))
    if counts[pad] == counts.max() and pad != 19:
        assert found == (pad, pytest.approx(counts[pad] / table.size))


def _random(rng):
    return rng.choice([0, 1, 2, 3, 4], (16, 14), p=[0.6, 0.1, 0.1, 0.1, 0.1])


def _onset(rng):
    return (np.arange(14) >= rng.integers(1, 7, (16, 1))).astype(np.int64)


def _sorted(rng):
    return np.sort(rng.integers(0, 3, (16, 14)).reshape(-1))


def _stages(rng):
    return np.sort(np.minimum(rng.integers(0, 9, (16, 14)), 6), axis=1)


HARMLESS = [_random, _onset, _sorted, _stages]


@pytest.mark.parametrize("labels", HARMLESS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), layout=st.sampled_from(LAYOUTS))
def test_labels_without_padding(labels, seed, layout):
    assert padding(layout(labels(np.random.default_rng(seed)))) is None


def test_a_version_that_takes_any_last_class_for_padding_is_rejected(monkeypatch):
    monkeypatch.setattr(module, "_goes_up_and_down", lambda labels, dominant: True)
    assert padding(_onset(np.random.default_rng(0))) is not None


def test_marked_and_single_targets_are_none():
    assert padding(np.where(_sentences(0) == 0, -100, _sentences(0))) is None
    assert padding(np.zeros(64, dtype=np.int64)) is None
