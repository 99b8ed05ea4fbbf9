"""Fingerprints, class counts and the permutation test against their definitions."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from losscope.anatomy.inputs import inputs_below
from losscope.anatomy.read import read
from losscope.probes.batches import Batches, class_counts, classes, spread
from losscope.probes.pairing import advantage, affinities


def every_trace(affinity):
    n = len(affinity)
    return np.array([sum(float(affinity[i, p[i]]) for i in range(n)) for p in permutations(range(n))])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_advantage_is_that_over_all_permutations(seed):
    affinity = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    traces = every_trace(affinity)
    score, gain = advantage(affinity, torch.tensor(2.0, dtype=torch.float64))
    exact = (float(affinity.trace()) - traces.mean()) / traces.std()
    assert float(score) == pytest.approx(exact, rel=1e-9, abs=1e-12)
    assert float(gain) == pytest.approx(
        (float(affinity.trace()) - traces.mean()) / 5 / 2, rel=1e-9, abs=1e-12
    )
    wrong = float(score) * (4 / 5) ** 0.5  # a variance by n instead of n - 1
    assert wrong != pytest.approx(exact, rel=1e-3)


def test_equal_predictions_have_no_advantage():
    assert [float(v) for v in advantage(torch.ones(9, 1) * torch.randn(9), torch.tensor(1.0))] == [0.0, 0.0]


@pytest.mark.parametrize("binary", [False, True])
def test_affinity_is_minus_the_loss_up_to_rows_and_columns(binary):
    torch.manual_seed(0)
    if binary:
        scores = torch.randn(12, 1, requires_grad=True) * 1
        target = torch.randint(0, 2, (12, 1)).float()
        loss = nn.functional.binary_cross_entropy_with_logits
    else:
        scores, target, loss = (
            torch.randn(12, 3, requires_grad=True) * 1,
            torch.randint(0, 3, (12,)),
            nn.functional.cross_entropy,
        )
    (term,) = read(loss(scores, target)).terms
    found = affinities(term)
    assert found is not None
    each = torch.stack([loss(scores, t.expand_as(target), reduction="none").reshape(-1) for t in target], 1)

    def centred(m):
        return m - m.mean(0) - m.mean(1, keepdim=True) + m.mean()

    assert torch.allclose(centred(found[0]), centred(-each), atol=1e-5)


def test_fingerprints_are_equal_for_equal_batches_alone():
    probe, x = Batches(), torch.randn(64, 8)
    same = probe._print([x.clone()])
    assert float(probe._print([x])) == float(same)
    for other in (x[torch.randperm(64)], x + 1e-6, x[:32], x.flip(1), -x):
        assert float(probe._print([other])) != float(same)
    assert float(probe._print([x, 2 * x])) != float(probe._print([2 * x, x]))


def test_classes_are_counted_modulo_32_without_ignored_ones():
    logits = torch.randn(6, 40, requires_grad=True) * 1
    (term,) = read(nn.functional.cross_entropy(logits, torch.tensor([0, 32, 33, 1, -100, 39]))).terms
    known = classes(term)
    assert known is not None and known[1] == 40
    assert class_counts(*known).tolist() == [2, 2, 0, 0, 0, 0, 0, 1, *[0] * 24]


def test_spread_is_that_between_samples():
    rows = torch.tensor([[1.0, 5.0], [1.0, 5.0]])
    assert float(spread(rows)) == 0.0
    rows[1, 0] = 2.0
    assert float(spread(rows)) == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(5, 4)),
        (nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), torch.randn(2, 5, 4)),
        (nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4)), torch.randn(5, 3, 8)),
        (nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), torch.randint(0, 9, (5, 7))),
        (nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2)), torch.randn(5, 4)),
    ],
)
def test_inputs_of_first_layers_are_the_data_and_nothing_else(model, x):
    found = inputs_below(model(x).sum().grad_fn)
    assert len(found) == 1 and torch.equal(found[0].reshape(-1), x.reshape(-1))


def test_inputs_behind_hooks_on_saved_tensors_are_left_alone():
    def refuse(_):
        raise AssertionError("unpacked")

    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, refuse):
        loss = nn.Linear(4, 2)(torch.randn(3, 4)).sum()
    assert inputs_below(loss.grad_fn) == ()
