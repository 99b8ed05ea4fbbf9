"""Natural gradients against known answers, and the quality of preconditioners against dense matrices."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.estimators.natural_gradients.natural_gradient import natural_gradient
from losscope.estimators.natural_gradients.preconditioner_quality import preconditioner_quality
from losscope.operators.ekfac import EKFAC
from losscope.operators.fisher import Fisher
from losscope.operators.gauss_newton import GaussNewton
from losscope.operators.kfac import KFAC
from losscope.operators.preconditioner import Preconditioner


def regression(weights=None):
    torch.manual_seed(0)
    x, y = torch.randn(30, 4).double(), torch.randn(30, 2).double()
    return (
        losscope.Objective(nn.Linear(4, 2).double(), F.mse_loss, [(x[:20], y[:20]), (x[20:], y[20:])]),
        x,
        y,
    )


@pytest.mark.parametrize("made", [lambda o: None, KFAC, EKFAC], ids=["exact", "KFAC", "EKFAC"])
def test_one_step_lands_on_the_least_squares_solution(made):
    """A linear model with a Gaussian likelihood: K-FAC is exact there as well."""
    objective, x, y = regression()
    found = natural_gradient(objective, made(objective), rtol=1e-10)
    assert found.converged and found.residual <= 1e-10
    with_one = torch.cat([x, torch.ones(30, 1)], 1)
    best = torch.linalg.lstsq(with_one, y).solution
    step = objective.theta - found.direction
    torch.testing.assert_close(step, torch.cat([best[:4].T.reshape(-1), best[4]]), rtol=1e-7, atol=1e-9)
    assert objective.gradient(step).norm() < 1e-8
    # For a quadratic the loss falls by half the decrement.
    fall = objective.value() - objective.value(step)
    assert fall == pytest.approx(found.decrement.value / 2, rel=1e-7)


class Reparametrised(nn.Module):
    """The network at θ = M φ, as a function of φ."""

    def __init__(self, inner, matrix, phi):
        super().__init__()
        self.phi, self.matrix, self.inner = nn.Parameter(phi), matrix, [inner]

    def forward(self, x):
        theta, given = self.matrix @ self.phi, {}
        for name, p in self.inner[0].named_parameters():
            given[name], theta = theta[: p.numel()].view(p.shape), theta[p.numel() :]
        return torch.func.functional_call(self.inner[0], given, (x,))


def test_a_linear_reparametrisation_changes_nothing():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2)).double()
    x, y = torch.randn(40, 3).double(), torch.randn(40, 2).double()
    plain = losscope.Objective(network, F.mse_loss, (x, y))
    matrix = torch.randn(plain.size, plain.size).double() + 3 * torch.eye(plain.size)
    phi = torch.linalg.solve(matrix, plain.theta)
    other = losscope.Objective(Reparametrised(network, matrix, phi), F.mse_loss, (x, y))
    assert other.value() == pytest.approx(plain.value())
    one, two = (natural_gradient(o, rtol=1e-12) for o in (plain, other))
    torch.testing.assert_close(matrix @ two.direction, one.direction, rtol=1e-5, atol=1e-7)
    # The gradient itself is not invariant.
    assert not torch.allclose(matrix @ other.gradient(), plain.gradient(), rtol=0.1)


def classification(steps=20):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = torch.randn(40, 4).double() * torch.tensor([0.1, 0.3, 1.0, 3.0]).double(), torch.randint(3, (40,))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for i in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x[i % 2 :: 2]), y[i % 2 :: 2]).backward()
        optimizer.step()
    return losscope.Objective(model, F.cross_entropy, (x, y)), optimizer


def test_quality_against_dense_matrices():
    objective, optimizer = classification()
    found = preconditioner_quality(objective, optimizer, rtol=1e-10)
    damped = Fisher(objective).dense() + found.damping * torch.eye(objective.size)
    gradient, m = objective.gradient(), Preconditioner(objective, optimizer).dense()
    natural = torch.linalg.solve(damped, gradient)
    for estimate, vector in ((found.cosine, m @ gradient), (found.cosine_before, gradient)):
        exact = F.cosine_similarity(vector, natural, dim=0)
        assert abs(estimate.value - float(exact)) <= estimate.stderr + 1e-12
        assert estimate.stderr < 1e-5
    scaled = m.sqrt() @ damped @ m.sqrt()
    for estimate, matrix in ((found.condition_before, damped), (found.condition_after, scaled)):
        assert estimate.value == pytest.approx(float(torch.linalg.cond(matrix)), rel=1e-6)


def test_better_preconditioners_are_found_better():
    objective, optimizer = classification()
    adam = preconditioner_quality(objective, optimizer)
    kfac = preconditioner_quality(objective, KFAC(objective).inverse(adam.damping), damping=adam.damping)
    assert kfac.cosine.value > adam.cosine.value
    assert kfac.condition_after.value < adam.condition_before.value
    sgd = preconditioner_quality(objective, torch.optim.SGD(objective.parameters, 0.1))
    assert sgd.cosine.value == pytest.approx(sgd.cosine_before.value)
    assert sgd.condition_after.value == pytest.approx(sgd.condition_before.value)


def test_planted_mistake_a_factor_of_two_misses_the_solution():
    """Half the Fisher matrix, a plausible slip for squared errors, overshoots by two."""
    objective, *_ = regression()
    step = objective.theta - natural_gradient(objective, GaussNewton(objective) / 2, rtol=1e-10).direction
    assert objective.gradient(step).norm() > 0.5 * objective.gradient().norm()


def test_bad_input_is_one_line():
    objective, optimizer = classification(steps=0)
    with pytest.raises(BadUsage, match="no state"):
        preconditioner_quality(objective, optimizer)
    with pytest.raises(BadUsage, match="damping"):
        natural_gradient(objective, damping=-1.0)
    with pytest.raises(BadUsage, match="damping is a finite number above 0"):
        preconditioner_quality(objective, torch.optim.SGD(objective.parameters, 0.1), damping=0.0)
    with pytest.raises(BadUsage, match="not over the objective"):
        natural_gradient(objective, Fisher(regression()[0]))
