"""Linear systems: solutions, true residuals, the switch to minimal residuals, limits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matrices import Broken, Clock, matrix

from losscope.core.errors import BadUsage
from losscope.estimators import budget as budget_module
from losscope.estimators.budget import Budget
from losscope.estimators.linear_systems import solve as module
from losscope.estimators.linear_systems.cg import conjugate_gradients
from losscope.estimators.linear_systems.columns import Columns
from losscope.estimators.linear_systems.minres import minimal_residuals
from losscope.estimators.linear_systems.solve import solve
from losscope.operators.dense import Dense

DEFINITE = torch.linspace(0.5, 10, 60, dtype=torch.float64)
INDEFINITE = torch.cat([-torch.linspace(0.5, 3, 15), torch.linspace(0.5, 10, 45)]).double()


def right(n=60, k=3, dtype=torch.float64):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("values", "method"), [(DEFINITE, "cg"), (INDEFINITE, "minres")])
def test_solutions(values, method):
    full, b = matrix(values), right()
    found = solve(Dense(full), b, rtol=1e-10)
    assert found.converged and found.method == method
    torch.testing.assert_close(found.x, torch.linalg.solve(full, b), rtol=1e-7, atol=1e-8)
    one = solve(Dense(full), b[:, 0], rtol=1e-10)
    assert one.x.shape == (60,) and len(one.residuals) == 1
    torch.testing.assert_close(one.x, found.x[:, 0], rtol=1e-7, atol=1e-8)


@given(st.integers(0, 10_000), st.sampled_from([1e-2, 1e-4, 1e-8]), st.booleans(), st.booleans())
def test_residuals_are_true_wherever_it_stops(seed, rtol, single, definite):
    torch.manual_seed(seed)
    values = torch.randn(30).double()
    full = matrix(values.abs() + 0.01 if definite else values, seed=seed)
    full = full.float() if single else full
    b = torch.randn(30, 2).to(full)
    found = solve(Dense(full), b, rtol=rtol, products=40)
    true = (b.double() - full.double() @ found.x).norm(dim=0) / b.double().norm(dim=0)
    assert true.tolist() == pytest.approx(found.residuals, rel=1e-2, abs=1e-5 if single else 1e-12)
    assert found.converged == all(r <= rtol for r in found.residuals)
    assert max(found.residuals) <= 1 + 1e-6


def test_iterations_are_as_few_as_theory_says():
    """m different eigenvalues take m steps, by either method."""
    values = torch.tensor([1.0, 2.0, 5.0, 9.0]).repeat(15)
    assert solve(Dense(matrix(values)), right(k=1), rtol=1e-9).products <= 4 + 1
    mixed = Dense(matrix(torch.tensor([-2.0, 1.0, 3.0]).repeat(20)))
    assert solve(mixed, right(k=1), rtol=1e-9).products <= 3 + 3 + 1  # conjugate gradients see it first


def test_minimal_residuals_minimise():
    """After each number of steps the residual is the least over the Krylov space."""
    full, b = matrix(INDEFINITE), right(k=1)
    krylov = b
    for steps in range(1, 7):
        columns = Columns(
            Budget(Dense(full), products=steps + 1), b, torch.zeros(1, dtype=torch.float64), None
        )
        x, _ = next(minimal_residuals(columns, b))
        best = torch.linalg.lstsq(full @ krylov, b).solution
        assert float((b - full @ x).norm()) == pytest.approx(
            float((b - full @ krylov @ best).norm()), rel=1e-6
        )
        krylov = torch.linalg.qr(torch.cat([krylov, full @ krylov[:, -1:]], 1))[0]


def test_conjugate_gradients_minimise_the_energy():
    full, b = matrix(DEFINITE), right(k=1)
    krylov, exact = b / b.norm(), torch.linalg.solve(full, b)
    for steps in range(1, 7):
        columns = Columns(
            Budget(Dense(full), products=steps + 1), b, torch.zeros(1, dtype=torch.float64), None
        )
        x, _ = next(conjugate_gradients(columns, b))
        best = krylov @ torch.linalg.solve(krylov.T @ full @ krylov, krylov.T @ b)
        assert not columns.indefinite
        energy = [float((y - exact).T @ full @ (y - exact)) for y in (x, best)]
        assert energy[0] == pytest.approx(energy[1], rel=1e-6)
        krylov = torch.linalg.qr(torch.cat([krylov, full @ krylov[:, -1:]], 1))[0]


def test_a_residual_of_the_recurrence_alone_is_rejected(monkeypatch):
    """The planted mutant does not look at b - Ax: steepest descent that takes each step for the last."""

    def overconfident(columns, right):
        columns.state = {"x": right / 3}
        yield columns.so_far(), True

    monkeypatch.setattr(module, "conjugate_gradients", overconfident)
    found = solve(Dense(matrix(DEFINITE)), right(), rtol=1e-8)
    assert not found.converged and min(found.residuals) > 1e-3


def test_converged_columns_cost_nothing_more():
    full = torch.diag(torch.arange(1.0, 61)).double()
    b = torch.zeros(60, 3, dtype=torch.float64)
    b[4, 0] = 1.0  # one step
    b[:, 1] = 1.0  # many; the third is 0
    found = solve(Dense(full), b, rtol=1e-8)
    alone = solve(Dense(full), b[:, 1], rtol=1e-8)
    assert found.converged and found.products <= alone.products + 2
    assert found.residuals[2] == 0.0 and float(found.x[:, 2].abs().max()) == 0
    assert float(found.x[4, 0]) == pytest.approx(0.2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_preconditioner_helps(sign):
    scale = torch.logspace(0, 4, 60, dtype=torch.float64)
    scale[:5] *= sign
    full = torch.diag(scale) + 0.1 * matrix(torch.linspace(-1, 1, 60))
    inverse = Dense(torch.diag(1 / full.diagonal().abs()))
    plain = solve(Dense(full), right(k=2), rtol=1e-8)
    helped = solve(Dense(full), right(k=2), rtol=1e-8, preconditioner=inverse)
    assert helped.converged and helped.products < plain.products / 3
    torch.testing.assert_close(helped.x, torch.linalg.solve(full, right(k=2)), rtol=1e-4, atol=1e-6)


def test_singular_systems():
    """With a solution: found. Without: the least-squares residual, and no claim."""
    values = torch.cat([torch.zeros(20), torch.linspace(-1, 2, 40) + 0.013]).double()
    full = matrix(values)
    solvable = full @ right(k=1)
    assert solve(Dense(full), solvable, rtol=1e-8).converged
    b = right(k=1)
    found = solve(Dense(full), b, rtol=1e-8)
    least = b - full @ torch.linalg.pinv(full, hermitian=True, rtol=1e-10) @ b
    assert not found.converged
    assert found.residuals[0] == pytest.approx(float(least.norm() / b.norm()), rel=1e-3)
    nothing = solve(Dense(torch.zeros(5, 5).double()), torch.ones(5).double())
    assert not nothing.converged and nothing.residuals == (1.0,)


@pytest.mark.parametrize(("values", "method"), [(DEFINITE, "cg"), (INDEFINITE, "minres")])
def test_single_precision(values, method):
    full, b = matrix(values, torch.float32), right(dtype=torch.float32)
    found = solve(Dense(full), b, rtol=1e-5)
    assert found.converged and found.method == method and found.x.dtype == torch.float64
    true = (b.double() - full.double() @ found.x).norm(dim=0) / b.double().norm(dim=0)
    assert float(true.max()) < 1.2e-5


@pytest.mark.parametrize("products", [1, 2, 5, 6, 7, 30])
@pytest.mark.parametrize("values", [DEFINITE, INDEFINITE])
def test_products_are_limited(products, values):
    op, seen = Dense(matrix(values)), []
    found = solve(op, right(), rtol=1e-12, products=products, progress=lambda *now: seen.append(now))
    assert found.products == op.products <= products
    assert not found.converged and max(found.residuals) <= 1
    assert all(now[1] > 0 for now in seen) and (seen or products < 9)


def test_time_is_limited(monkeypatch):
    monkeypatch.setattr(budget_module, "perf_counter", Clock())
    found = solve(Dense(matrix(DEFINITE)), right(), rtol=1e-12, seconds=10)
    assert not found.converged and found.products < 60


def test_it_is_deterministic():
    first, second = (solve(Dense(matrix(INDEFINITE)), right()) for _ in range(2))
    assert torch.equal(first.x, second.x) and first.residuals == second.residuals


def nan(*shape):
    return torch.full(shape, math.nan)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda d: solve(d, torch.ones(4)), "right-hand sides of size"),
        (lambda d: solve(d, torch.ones(5, 2, 2)), "right-hand sides of size"),
        (lambda d: solve(d, nan(5)), "right-hand side is not finite"),
        (lambda d: solve(d, torch.ones(5), rtol=-1), "rtol is a finite number"),
        (lambda d: solve(d, torch.ones(5), products=0), "products is an integer"),
        (lambda d: solve(d, torch.ones(5), preconditioner=Dense(torch.eye(4))), "size of the operator"),
        (lambda d: solve(d, torch.ones(5), preconditioner=Dense(-torch.eye(5))), "must be positive definite"),
        (lambda d: solve(Broken(5), torch.ones(5)), "not finite"),
    ],
)
def test_bad_input_is_one_line(call, says):
    with pytest.raises(BadUsage, match=says) as caught:
        call(Dense(torch.eye(5)))
    assert "\n" not in str(caught.value)
