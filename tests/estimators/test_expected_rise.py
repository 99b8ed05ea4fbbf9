"""The expected rise under perturbations: quartics in closed form, traces that are left behind, losses that overflow."""

import copy
import math

import pytest
import torch
from matrices import calibration, unbiased
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.estimators.flatness import expected_rise as module
from losscope.estimators.flatness.expected_rise import expected_rise, second_order_rise
from losscope.operators.hessian import Hessian
from losscope.operators.perturbation import (
    Perturbation,
    element_scaled,
    feature_noise,
    filter_scaled,
    isotropic,
    sgd_noise,
)

A = torch.linspace(0.5, 2, 12, dtype=torch.float64)
B = torch.linspace(3, 0.2, 12, dtype=torch.float64)


class Quartic(nn.Module):
    """Σ ½a x² + ¼b x⁴, at 0.3: H = a + 3b x², fourth derivative 6b."""

    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.full((12,), 0.3, dtype=torch.float64))

    def forward(self):
        return (0.5 * A * self.x**2 + 0.25 * B * self.x**4).sum()


def quartic():
    return losscope.Objective(Quartic(), None)


SIGMA = 0.4
SECOND = 0.5 * SIGMA**2 * float((A + 3 * B * 0.09).sum())
FOURTH = SIGMA**4 / 8 * float((6 * B).sum())


def measured(seeds, pairs=8):
    objective = quartic()
    return [expected_rise(objective, isotropic(objective, SIGMA), pairs=pairs, seed=s) for s in range(seeds)]


def test_a_quartic_and_its_next_order():
    found = measured(40)
    assert all(f.second.value == pytest.approx(SECOND) for f in found)
    for estimates, truth in (
        ([f.direct for f in found], SECOND + FOURTH),
        ([f.higher for f in found], FOURTH),
        ([f.value for f in found], SECOND + FOURTH),
    ):
        assert unbiased(estimates, truth)
        assert 0.7 < calibration(estimates, truth) < 1.4
        assert not unbiased(estimates, truth - FOURTH)  # the mutant that stops at second order


@pytest.mark.thorough
def test_the_stated_errors_over_200_seeds():
    found = measured(200, 12)
    assert 0.8 < calibration([f.higher for f in found], FOURTH) < 1.2
    assert 0.8 < calibration([f.direct for f in found], SECOND + FOURTH) < 1.2


def test_a_factor_two_is_rejected(monkeypatch):
    """The planted mutant: tr(HΣ) without its half."""
    monkeypatch.setattr(module, "second_order_rise", lambda *a, **k: second_order_rise(*a, **k).scaled(2))
    found = measured(20)
    assert not unbiased([f.value for f in found], SECOND + FOURTH)


def network(penalty=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, 3))
    x, y = torch.randn(20, 4), torch.randint(3, (20,))
    return losscope.Objective(model, nn.CrossEntropyLoss(), (x, y), penalty)


def test_nothing_is_left_behind():
    objective = network(0.01)
    model = objective.whole.model
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    for made in (isotropic(objective, 0.1), filter_scaled(objective, 0.1), element_scaled(objective, 0.1)):
        found = expected_rise(objective, made, pairs=3, products=20)
        assert math.isfinite(found.value.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state) and model.training
    assert all(p.grad is None for p in model.parameters())


class Cliff(nn.Module):
    """Finite only where all weights are positive."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.full((5,), 0.1))

    def forward(self):
        return self.w.log().square().sum()


def test_a_loss_that_is_no_number_nearby_is_said_and_not_raised():
    objective = losscope.Objective(Cliff(), None)
    found = expected_rise(objective, isotropic(objective, 1.0), pairs=6)
    assert found.not_finite > 0 and found.direct.value == math.inf == found.higher.stderr
    assert math.isfinite(found.second.value)
    near = expected_rise(objective, isotropic(objective, 1e-3), pairs=6)
    assert near.not_finite == 0 and abs(near.direct.value - near.value.value) < 5 * near.direct.stderr


@pytest.mark.parametrize("name", ["filters", "filters only", "elements", "noise", "features"])
def test_covariances_are_those_of_their_definition(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    x, y = torch.randn(20, 4).double(), torch.randint(3, (20,))
    objective = losscope.Objective(model, nn.CrossEntropyLoss(), (x, y))
    first, bias, last = (objective.parameters[i].detach() for i in (0, 1, 2))
    covariance: Perturbation
    if name == "noise":
        covariance = sgd_noise(objective, 0.3, 5)
        truth = 0.3 / 5 * losscope.operators.GradientCovariance(objective).dense()
    elif name == "features":
        covariance = feature_noise(objective, "2.weight", 0.5)
        truth = torch.zeros(objective.size, objective.size).double()
        truth[30:48, 30:48] = 0.25 * torch.kron(last @ last.T, torch.eye(6).double())
    else:
        rows = first.norm(dim=1, keepdim=True).expand(6, 4).reshape(-1) / 2
        scale = torch.cat([rows, bias.abs() if name == "filters" else 0 * bias])
        made = {
            "filters": filter_scaled(objective, 0.1),
            "filters only": filter_scaled(objective, 0.1, vectors=False),
            "elements": element_scaled(objective, 0.1),
        }
        covariance = made[name]
        scale = objective.theta.abs()[:30] if name == "elements" else scale
        truth = 0.01 * torch.diag(scale**2)
    found = covariance.dense()
    assert torch.allclose(found[: len(truth), : len(truth)], truth, rtol=1e-10, atol=1e-14)
    random = torch.Generator().manual_seed(0)
    draws = torch.stack([covariance.draw(random) for _ in range(400)])
    trace = float(found.trace())
    assert float(draws.square().sum(1).mean()) == pytest.approx(trace, rel=0.2)
    half = second_order_rise(objective, covariance)
    assert half.value == pytest.approx(0.5 * float((Hessian(objective).dense() * found).sum()), rel=0.1)


def test_bad_input_is_one_line():
    objective, other = quartic(), quartic()
    with pytest.raises(BadUsage, match="positive number"):
        isotropic(objective, 0.0)
    with pytest.raises(BadUsage, match="pairs is an integer from 2"):
        expected_rise(objective, isotropic(objective, 1.0), pairs=1)
    with pytest.raises(BadUsage, match="another objective"):
        expected_rise(objective, isotropic(other, 1.0))
    with pytest.raises(BadUsage, match="no trained parameter has this name"):
        feature_noise(objective, "head")
    with torch.no_grad():
        objective.whole.model.x.zero_()
    with pytest.raises(BadUsage, match="nothing is perturbed"):
        element_scaled(objective, 0.1)
