"""The number of negative eigenvalues: proven from below, complete with copies, undecided where it is."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matrices import Broken, Clock, matrix

from losscope.core.errors import BadUsage
from losscope.estimators import budget as budget_module
from losscope.estimators.extremes import index as module
from losscope.estimators.extremes.index import index
from losscope.estimators.extremes.lanczos import Lanczos
from losscope.operators.dense import Dense


def spectrum(negative, n=120):
    return torch.cat([-torch.linspace(0.2, 2, negative), torch.linspace(0.1, 5, n - negative)]).double()


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("negative", [0, 1, 7])
def test_known_answers(negative, exact):
    found = index(Dense(matrix(spectrum(negative))), exact=exact)
    assert (found.lower, found.upper, found.decided) == (negative, negative, True)
    assert found.estimate.value == negative and found.estimate.stderr == 0
    assert all(value < 0 for value in found.smallest[:negative])
    if not exact:
        assert found.products < 400


@pytest.mark.parametrize("values", [[-1.0] * 9, [1.0] * 9, [-1.0], [2.0], [-1.0, 1.0]])
@pytest.mark.parametrize("exact", [True, False])
def test_tiny_matrices_and_definite_ones(values, exact):
    found = index(Dense(matrix(values)), exact=exact)
    assert found.lower == found.upper == sum(v < 0 for v in values)


def test_copies_are_all_found():
    """Five equal eigenvalues, of which one start vector sees one."""
    values = torch.cat([-torch.ones(5), torch.tensor([-2.0, -0.5]), torch.linspace(0.1, 1, 100)])
    found = index(Dense(matrix(values)), exact=False)
    assert found.lower == found.upper == 7


def test_a_search_that_does_not_ask_again_is_rejected(monkeypatch):
    """The planted mutant takes the first answer: of five copies it counts those that rounding has shown."""
    right = module._Search._hold

    def hold_once(self, found, low):
        right(self, found, low)
        eye = Dense(torch.eye(len(self.held)).double())
        monkeypatch.setattr(module, "Lanczos", lambda *_, **__: Lanczos(eye, 1))

    monkeypatch.setattr(module._Search, "_hold", hold_once)
    values = torch.cat([-torch.ones(5), torch.linspace(0.1, 1, 100)])
    assert index(Dense(matrix(values)), exact=False).lower < 5


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zeros_are_undecided(exact, dtype):
    values = torch.cat([-torch.ones(3), torch.zeros(4), torch.linspace(0.5, 1, 60)])
    found = index(Dense(matrix(values, dtype)), exact=exact)
    assert (found.lower, found.upper, found.decided) == (3, 7, False)
    assert found.estimate.stderr == 4


def test_more_zeros_than_products():
    """As of a network's Hessian: what is known is said, and no more."""
    values = torch.cat([-torch.ones(3), torch.zeros(150), torch.linspace(0.5, 1, 60)])
    found = index(Dense(matrix(values)), exact=False, products=200)
    assert (found.lower, found.upper) == (3, 213)
    assert found.products <= 200


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 120), st.booleans())
def test_bounds_hold_wherever_it_stops(seed, products, single):
    torch.manual_seed(seed)
    values = torch.cat([torch.randn(30) * 0.1, torch.tensor([3.0, -1.0])]).double()
    full = matrix(values, torch.float32 if single else torch.float64, seed=seed)
    op = Dense(full)
    found = index(op, exact=False, products=products, seed=seed)
    assert found.products == op.products <= products
    sure = int((values < -1e-5).sum()), int((values < 1e-5).sum())
    assert found.lower <= sure[1] and sure[0] <= found.upper


def test_progress_and_time(monkeypatch):
    seen = []
    index(Dense(matrix(spectrum(4))), exact=False, progress=lambda *now: seen.append(now))
    assert seen and [now[0] for now in seen] == sorted(now[0] for now in seen)
    monkeypatch.setattr(budget_module, "perf_counter", Clock())
    found = index(Dense(matrix(spectrum(40, 600))), seconds=3)
    assert found.upper == 600 and found.products < 300


def test_the_same_seed_gives_the_same_numbers():
    op = Dense(matrix(spectrum(5)))
    first, second = (index(op, exact=False, seed=3) for _ in range(2))
    assert (first.smallest, first.bounds, first.products) == (second.smallest, second.bounds, second.products)


@pytest.mark.parametrize("exact", [True, False])
def test_bad_input_is_one_line(exact):
    with pytest.raises(BadUsage, match="rtol is a finite number"):
        index(Dense(torch.eye(5)), rtol=-1, exact=exact)
    with pytest.raises(BadUsage, match="not finite"):
        index(Broken(), exact=exact)
    with pytest.raises(BadUsage, match="products is an integer"):
        index(Dense(torch.eye(5)), products=0, exact=exact)
