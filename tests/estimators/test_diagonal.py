"""The diagonal: unbiased, with right standard errors per entry; exact where that is cheaper."""

import pytest
import torch
from matrices import Broken, Clock, matrix

from losscope.core.errors import BadUsage
from losscope.estimators import budget as budget_module
from losscope.estimators.diagonals import diagonal as module
from losscope.estimators.diagonals.diagonal import diagonal
from losscope.operators.dense import Dense

SEEDS = 200
FULL = matrix(torch.linspace(1, 3, 70))


def runs(full, **options):
    found = [diagonal(Dense(full), 0, seed=seed, **options) for seed in range(SEEDS)]
    return torch.stack([f.values for f in found]), torch.stack([f.stderrs for f in found])


def test_unbiased_with_the_right_error_of_each_entry():
    values, errors = runs(FULL, products=16)
    scores = (values - FULL.diagonal()) / errors
    mean = (values.mean(0) - FULL.diagonal()) / (values.std(0) / SEEDS**0.5)
    assert float(mean.abs().max()) < 4 and 0.75 < float(mean.std()) < 1.25  # 70 entries
    assert float(scores.square().mean()) == pytest.approx(15 / 13, abs=0.12)  # Student's t with 15 degrees
    ratio = (values - FULL.diagonal()).square().mean(0).sqrt() / errors.square().mean(0).sqrt()
    assert float((ratio - 1).abs().max()) < 0.25


def test_errors_are_of_the_entry_and_not_of_the_whole():
    full = torch.diag(torch.arange(1.0, 101)).double()
    full[0, 1] = full[1, 0] = 5.0
    found = diagonal(Dense(full), 0, products=64)
    assert found.stderrs[:2].tolist() == pytest.approx([5 / 8] * 2, rel=0.1)
    assert float(found.stderrs[2:].max()) == 0
    assert torch.equal(found.values[2:], full.diagonal()[2:])
    assert found[5].value == 6.0 and found[5].stderr == 0.0 and len(found) == 100


def test_the_product_alone_is_rejected(monkeypatch):
    """The planted mutant leaves out x ∘: the mean of A x is 0."""

    class Ones(module.Probes):
        def signs(self, count):
            return torch.ones_like(super().signs(count))

    monkeypatch.setattr(module, "Probes", Ones)
    values, _ = runs(FULL[:], products=16)
    assert float((values.mean(0) - FULL.diagonal()).abs().max()) > 0.01


def test_the_tolerance_is_of_the_whole_diagonal():
    full = matrix(torch.linspace(5, 6, 400))
    found = diagonal(Dense(full), 0.01)
    assert found.converged and 8 <= found.products < 100
    error = (found.values - full.diagonal()).norm() / full.diagonal().norm()
    assert float(error) < 0.012
    assert float(found.stderrs.norm() / full.diagonal().norm()) <= 0.01


def test_what_would_cost_more_than_all_is_exact():
    full = matrix(torch.linspace(-1, 1, 90))
    found = diagonal(Dense(full), 1e-3)
    assert found.converged and found.products <= 98
    assert float(found.stderrs.max()) == 0
    torch.testing.assert_close(found.values, full.diagonal())
    unreached = diagonal(Dense(full), 1e-3, products=80)
    assert not unreached.converged and unreached.products == 80


def test_small_matrices_are_exact():
    full = matrix(torch.linspace(-1, 1, 30), torch.float32)
    found = diagonal(Dense(full))
    torch.testing.assert_close(found.values, full.diagonal().double())
    assert found.products == 30 and found.converged


@pytest.mark.parametrize("products", [1, 2, 9, 30])
def test_products_are_limited(products):
    op, seen = Dense(FULL), []
    found = diagonal(op, 0, products=products, progress=lambda *now: seen.append(now))
    assert found.products == op.products == products == seen[-1][0]
    assert not found.converged and bool((found.stderrs > 0).all())


@pytest.mark.parametrize("size", [50, 200])
def test_time_is_limited(size, monkeypatch):
    monkeypatch.setattr(budget_module, "perf_counter", Clock())
    found = diagonal(Dense(matrix(torch.linspace(-1, 1, size))), 0, seconds=4)
    assert not found.converged and found.products < 50
    assert bool(found.stderrs[-1] > 0)


def test_single_precision_sums_in_double():
    full = matrix(torch.linspace(5, 6, 100), torch.float32)
    found = diagonal(Dense(full), 0.01)
    assert found.values.dtype == torch.float64 and found.converged
    assert float(((found.values - full.diagonal()) / found.stderrs).abs().max()) < 6


def test_the_same_seed_gives_the_same_numbers():
    first, second, other = (diagonal(Dense(FULL), 0, products=9, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.values, second.values) and torch.equal(first.stderrs, second.stderrs)
    assert not torch.equal(first.values, other.values)


def test_bad_input_is_one_line():
    with pytest.raises(BadUsage, match="rtol is a finite number"):
        diagonal(Dense(FULL), -0.1)
    with pytest.raises(BadUsage, match="products is an integer"):
        diagonal(Dense(FULL), products=0)
    with pytest.raises(BadUsage, match="not finite"):
        diagonal(Broken())
