"""The share of the variance that an activation's range leaves unexplained, against closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from losscope.probes.reachable import beyond


def test_half_of_a_symmetric_target_is_beyond_a_relu():
    """E[min(y, 0)²] = Var(y)/2 for any symmetric y of mean 0."""
    y = torch.randn(1 << 16, dtype=torch.float64)
    share, ratio = beyond(torch.cat([y, -y]), 0.0, math.inf)
    assert float(share) == 0.5
    assert float(ratio) == pytest.approx(0.5, rel=1e-12)


def test_a_uniform_target_beyond_a_tanh():
    """U(-a, a): 1 - 1/a lie beyond, and (a-1)³/(3a) of the variance a²/3."""
    a = 2.0
    share, ratio = beyond(torch.linspace(-a, a, 200_001, dtype=torch.float64), -1.0, 1.0)
    assert float(share) == pytest.approx(1 - 1 / a, abs=1e-4)
    assert float(ratio) == pytest.approx((a - 1) ** 3 / a**3, abs=1e-4)


@given(st.floats(1, 10), st.integers(0, 99))
def test_the_ratio_is_that_of_the_best_reachable_answer(scale, seed):
    """No answer in the range is nearer than the clamped target: a mutant that takes the distance to 0 fails."""
    y = scale * torch.randn(50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    _, ratio = beyond(y, -1.0, 1.0)
    grid = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    best = (y[:, None] - grid).square().min(1).values.mean() / y.var(correction=0)
    assert float(ratio) == pytest.approx(float(best), abs=2e-6)


def test_targets_on_the_bound_and_equal_targets_count_as_reached():
    for y in (torch.tensor([-1.0, 1.0, 1.0 + 1e-7]), torch.full((5,), -3.0)):
        assert float(beyond(y, -1.0, 1.0)[1]) == 0.0
