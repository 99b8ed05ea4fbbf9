"""Streaming statistics of targets: they agree with numpy, merge, and stay small."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from losscope.losses.target_stats import MAX_SAMPLE, TargetStats


@given(
    values=arrays(
        np.float64, st.tuples(st.integers(2, 30), st.integers(1, 4)), elements=st.floats(-1e3, 1e3)
    ),
    cut=st.floats(0, 1),
)
def test_streaming_and_merging_equal_one_batch(values: np.ndarray, cut: float) -> None:
    at = int(cut * len(values))
    one, first, second = TargetStats(), TargetStats(), TargetStats()
    one.update(values)
    first.update(values[:at])
    second.update(values[at:])
    first.merge(second)
    for stats in (one, first):
        np.testing.assert_allclose(stats.columns.mean, values.mean(0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(stats.columns.variance, values.var(0), rtol=1e-7, atol=1e-6)
        assert stats.count == len(values)
    np.testing.assert_array_equal(np.sort(first.sample.rows, 0), np.sort(values, 0))


def test_a_merge_that_forgets_the_means_would_be_caught() -> None:
    """The planted mutant: adding sums of squares without the shift between the means."""
    a, b = np.zeros((10, 1)), np.ones((10, 1)) * 5
    stats = TargetStats()
    stats.update(a)
    stats.update(b)
    wrong = a.var() * 10 + b.var() * 10
    assert stats.columns.squares[0] == pytest.approx(np.concatenate([a, b]).var() * 20)
    assert abs(stats.columns.squares[0] - wrong) > 1


def test_classes_with_ignored_and_weighted_elements() -> None:
    stats = TargetStats()
    stats.update(np.array([0, 1, 1, -100, 2]), {"ignore_index": -100})
    stats.update(np.array([[2, 2], [0, -1]]), {"ignore_index": 0})
    np.testing.assert_array_equal(stats.class_weight, [1, 2, 3])
    weighted = TargetStats()
    weighted.update(np.array([0, 1, 1]), {}, np.array([1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(weighted.class_weight, [1, 2])
    assert weighted.count == 2


def test_elements_per_update() -> None:
    stats = TargetStats()
    stats.update(np.zeros((4, 3)))
    stats.update(np.zeros((2, 3)))
    assert stats.elements("mean") == 1
    assert stats.elements("sum") == 9
    assert stats.elements("batchmean") == 3


def test_rows_that_are_not_finite_are_left_out_and_counted() -> None:
    stats = TargetStats()
    stats.update(np.array([[1.0], [np.nan], [3.0]]))
    assert stats.non_finite == 1
    assert stats.columns.mean[0] == 2


def test_memory_is_bounded() -> None:
    stats = TargetStats()
    for seed in range(40):
        stats.update(np.random.default_rng(seed).normal(size=(5000, 2)))
    assert stats.sample.rows.size <= MAX_SAMPLE
    assert np.median(stats.sample.rows) == pytest.approx(0, abs=0.02)
    wide = TargetStats()
    wide.update(np.zeros((2, 100_000)))
    assert wide.columns.mean.shape == (1,)


def test_every_kth_row_stands_for_the_whole_batch() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 2))
    stats = TargetStats()
    stats.update(rows[::10], stride=10)
    assert stats.elements("sum") == 200
    assert stats.elements("batchmean") == 2
    assert stats.count == 10


def test_further_axes_are_samples() -> None:
    image = np.random.default_rng(0).normal(size=(3, 2, 4, 4))
    stats = TargetStats()
    stats.update(image)
    np.testing.assert_allclose(stats.columns.mean, image.mean((0, 2, 3)))


def test_scalars_and_empty_batches() -> None:
    stats = TargetStats()
    stats.update(np.array(3.0))
    stats.update(np.zeros((0, 1)))
    assert stats.count == 1
