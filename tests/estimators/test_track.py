"""Eigenvalues followed from step to step, against dense ones."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.estimators.extremes.lanczos import eigsh
from losscope.estimators.extremes.track import track
from losscope.operators.dense import Dense
from losscope.operators.hessian import Hessian


def rotated(values, seed=0):
    torch.manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64))
    return turn @ torch.diag(torch.as_tensor(values, dtype=torch.float64)) @ turn.T


def moving(steps):
    """A matrix with outliers that turns a little at each step."""
    bulk = torch.linspace(-0.3, 0.3, 57)
    first = rotated(torch.cat([torch.tensor([5.0, 4.0, -3.0]), bulk]))
    torch.manual_seed(1)
    spin = torch.randn(60, 60, dtype=torch.float64)
    spin = torch.linalg.matrix_exp(2e-3 * (spin - spin.T))
    for _ in range(steps):
        yield first
        first = spin @ first @ spin.T


def test_values_follow_and_stay_within_their_residuals():
    pairs, fixed = None, None
    for full in moving(30):
        truth = torch.linalg.eigvalsh(full)
        op = Dense(full)
        if pairs is None or fixed is None:
            pairs = fixed = eigsh(op, 3, "LM", rtol=1e-8)
            continue
        pairs = track(op, pairs)
        assert op.products == 3
        for value, residual in zip(pairs.values, pairs.residuals, strict=True):
            assert float((truth - value).abs().min()) <= residual + 1e-12
        assert max(abs(v - w) for v, w in zip(pairs.values, (5, 4, -3), strict=True)) < 1e-3 * 5
    assert pairs is not None and fixed is not None
    # the mutant that never moves its vectors loses them
    basis = fixed.vectors
    lost = torch.linalg.eigvalsh(basis.T @ full @ basis).flip(0)
    assert abs(float(lost[0]) - 5) > 5e-3 * 5


@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
def test_the_order_is_kept(which):
    full = rotated([3.0, -5.0, 2.0, 1.0, -1.5, *[0.01] * 20])
    found = eigsh(Dense(full), 3, which, rtol=1e-9)
    moved = track(Dense(full), found)
    assert moved.values == pytest.approx(found.values, abs=1e-8) and moved.converged


def test_a_network_in_training():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 3)).double()
    x, y = torch.randn(100, 6).double(), torch.randint(3, (100,))
    objective = losscope.Objective(model, F.cross_entropy, (x, y))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    op = Hessian(objective)
    pairs = eigsh(op, 3, rtol=1e-7)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        pairs = track(op, pairs)
    truth = torch.linalg.eigvalsh(op.dense())
    assert abs(pairs.values[0] / float(truth[-1]) - 1) < 1e-3
    for value, residual in zip(pairs.values, pairs.residuals, strict=True):
        assert float((truth - value).abs().min()) <= residual


def test_vectors_of_another_network():
    found = eigsh(Dense(torch.eye(5)), 1)
    with pytest.raises(BadUsage, match="size 5 say nothing of one of size 6"):
        track(Dense(torch.eye(6)), found)
