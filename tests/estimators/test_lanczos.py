"""Extreme eigenvalues against dense ones: values, bounds that hold, limits."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matrices import matrix as turned

from losscope.core.errors import BadUsage
from losscope.estimators.extremes.lanczos import Lanczos, eigsh
from losscope.operators.dense import Dense
from losscope.operators.operator import LinearOperator


def matrix(values, dtype=torch.float64):
    values = torch.as_tensor(values, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64))
    full = turn @ torch.diag(values) @ turn.T
    return ((full + full.T) / 2).to(dtype)


def wanted(values, k, which):
    values = np.asarray(values, dtype=np.float64)
    order = {"LA": np.argsort(-values), "SA": np.argsort(values), "LM": np.argsort(-abs(values))}
    return values[order[which]][:k]


@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
@pytest.mark.parametrize("n", [1, 2, 7, 40, 400])
def test_eigenvalues_and_their_bounds(n, which):
    torch.manual_seed(n)
    values = torch.randn(n, dtype=torch.float64).exp() * torch.randn(n, dtype=torch.float64).sign()
    k = min(4, n)
    full = matrix(values)
    found = eigsh(Dense(full), k, which, rtol=1e-7)
    assert found.converged and len(found) == k
    errors = np.abs(np.array(found.values) - wanted(values, k, which))
    assert (errors <= np.array(found.bounds) + 1e-12).all()
    assert errors.max() <= 1e-7 * values.abs().max()
    residual = full @ found.vectors - found.vectors * torch.tensor(found.values, dtype=torch.float64)
    torch.testing.assert_close(
        residual.norm(dim=0), torch.tensor(found.residuals).double(), rtol=1e-3, atol=1e-9
    )


@given(st.integers(0, 10_000), st.integers(3, 60), st.sampled_from([1e-1, 1e-2, 1e-4]))
def test_bounds_hold_wherever_it_stops(seed, n, rtol):
    """Also for spectra with outliers, as those of networks; few products, so that bounds are wide."""
    torch.manual_seed(seed)
    values = torch.cat([torch.randn(n) * 0.1, torch.tensor([3.0, 2.5, -1.0])]).double()
    found = eigsh(Dense(matrix(values)), 2, "LM", rtol=rtol, seed=seed)
    for value, residual in zip(found.values, found.residuals, strict=True):
        assert (values - value).abs().min() <= residual + 1e-10  # an eigenvalue lies within each residual


def test_restarts_keep_what_was_found():
    torch.manual_seed(0)
    values = torch.linspace(0, 1, 300, dtype=torch.float64)
    found = eigsh(Dense(matrix(values)), 3, "LA", rtol=1e-6, basis=16)
    assert found.converged
    assert found.values == pytest.approx(values[[-1, -2, -3]].tolist(), abs=1e-6)


def test_equal_eigenvalues_and_a_start_without_them():
    torch.manual_seed(0)
    found = eigsh(Dense(torch.eye(6, dtype=torch.float64)), 6, rtol=1e-9)
    assert found.values == pytest.approx([1.0] * 6)
    found = eigsh(Dense(torch.zeros(5, 5, dtype=torch.float64)), 2)
    assert found.values == pytest.approx([0.0, 0.0])


def test_single_precision():
    torch.manual_seed(0)
    values = [5.0, 3.0, 2.0, *torch.rand(100).tolist()]
    found = eigsh(Dense(matrix(values, torch.float32)), 3, rtol=1e-4)
    assert found.vectors.dtype == torch.float32
    assert found.values == pytest.approx([5.0, 3.0, 2.0], rel=1e-4)


def test_limits_end_it_and_say_so():
    torch.manual_seed(0)
    dense = Dense(matrix(torch.rand(500)))
    seen = []
    found = eigsh(
        dense, 5, rtol=1e-12, products=20, progress=lambda products, bound: seen.append((products, bound))
    )
    assert found.products == dense.products == 20
    assert not found.converged and max(found.bounds) > 0
    assert seen[-1] == (20, max(found.bounds))
    assert not eigsh(dense, 5, rtol=1e-12, seconds=0).converged


def test_the_same_seed_gives_the_same_numbers():
    torch.manual_seed(0)
    dense = Dense(matrix(torch.rand(50)))
    first, second = (eigsh(dense, 2, seed=3) for _ in range(2))
    assert first.values == second.values and torch.equal(first.vectors, second.vectors)
    assert first[0].value == first.values[0] and first[0].stderr == first.bounds[0]


class Broken(LinearOperator):
    def apply(self, vectors):
        return vectors * float("nan")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda d: eigsh(torch.eye(3)), "LinearOperator"),
        (lambda d: eigsh(d, 0), "k is an integer from 1"),
        (lambda d: eigsh(d, 9), "no 9 eigenvalues"),
        (lambda d: eigsh(d, 1, "XX"), "LA, SA or LM"),
        (lambda d: eigsh(Broken(5, torch.float64, d.device), 1), "not finite"),
    ],
)
def test_bad_input_is_one_line(call, says):
    with pytest.raises(BadUsage, match=says):
        call(Dense(torch.eye(5)))


@pytest.mark.parametrize("pieces", [[1, 1, 1, 500], [7, 20, 500], [59, 2, 500]])
def test_a_search_that_is_interrupted_ends_as_one_in_one_go(pieces):
    """Across restarts too: the basis holds 12 vectors."""
    torch.manual_seed(0)
    op = Dense(matrix(torch.linspace(0, 1, 200) ** 4))
    once = eigsh(op, 2, rtol=1e-8, basis=12, seed=5)
    search = Lanczos(op, 2, basis=12, seed=5)
    for products in pieces:
        found = search.run(rtol=1e-8, products=products)
    assert found.converged and once.converged
    assert found.products == once.products and found.values == once.values
    assert torch.equal(found.vectors, once.vectors)


class Counting(LinearOperator):
    """Takes its time, and counts."""

    used = 0

    def apply(self, vectors):
        self.used += 1
        time.sleep(0.05)
        return vectors * torch.arange(self.size, dtype=self.dtype)[:, None]


def test_a_product_that_would_end_too_late_is_not_begun():
    op = Counting(100, torch.float64, torch.device("cpu"))
    found = eigsh(op, 1, rtol=1e-12, seconds=0.12)
    assert not found.converged and op.used <= 2


def test_one_product_bounds_nothing_by_a_gap():
    """No other Ritz value is there to be a distance away from."""
    torch.manual_seed(0)
    op = Dense(matrix(torch.linspace(0, 1, 50, dtype=torch.float64)))
    found = eigsh(op, 1, products=1)
    assert found.bounds[0] > found.residuals[0] and not found.converged


def test_close_outliers_are_told_apart():
    """A Ritz value between two of them stands still for a step or two: 56 of 400 such values were off by more than
    their bounds where the search ended at once (benchmarks/calibration/eigenvalue_bounds.py)."""
    wrong = 0
    for seed in range(100):
        torch.manual_seed(seed)
        values = torch.cat([torch.randn(60) * 0.1, torch.rand(3) + 0.5]).double()
        found = eigsh(Dense(matrix(values)), 2, "LA", rtol=1e-2, seed=seed)
        for value, bound in zip(found.values, found.bounds, strict=True):
            wrong += float((values - value).abs().min()) > bound + 1e-12
    assert wrong <= 2


@pytest.mark.parametrize(
    "wrong", [{"rtol": -1.0}, {"rtol": float("nan")}, {"products": 0}, {"seconds": float("nan")}, {"k": 1.5}]
)
def test_limits_that_are_none(wrong):
    with pytest.raises(BadUsage):
        eigsh(Dense(torch.eye(5)), **{"k": 1, **wrong})


def outside(spectrum):
    """The share of the three smallest values of 10 matrices that lie outside of their bounds."""
    wrong, truth = 0, sorted(spectrum.tolist())
    for seed in range(10):
        found = eigsh(Dense(turned(spectrum, seed=seed)), 3, "SA", rtol=1e-4, seed=seed)
        assert found.converged
        wrong += sum(abs(v - t) > b for v, b, t in zip(found.values, found.bounds, truth, strict=False))
    return wrong / 30


def test_bounds_in_a_dense_part_of_the_spectrum(monkeypatch):
    """As the smallest eigenvalues of a network's Hessian: no gap, and Ritz values that creep."""
    spectrum = 10.0 ** (-torch.arange(150.0).double() / 10)
    assert outside(spectrum) < 0.05
    monkeypatch.setattr(
        Lanczos, "_drift", lambda self, values, size: 0.0
    )  # the planted mutant: residuals alone
    assert outside(spectrum) > 0.2
