"""Label noise on ½(uv - 1 - ε)²: what is known in closed form, by the public functions."""

import math

import pytest
import torch
from torch import nn

import losscope
from losscope.operators.hessian import Hessian
from losscope.operators.perturbation import element_scaled, isotropic, sgd_noise


class Product(nn.Module):
    def __init__(self, u, v):
        super().__init__()
        self.u = nn.Parameter(torch.tensor(u, dtype=torch.float64))
        self.v = nn.Parameter(torch.tensor(v, dtype=torch.float64))

    def forward(self, x):
        return self.u * self.v * x


def half_square(prediction, target):
    return 0.5 * (prediction - target).square().mean()


def valley(u, v, targets=(1.0,)):
    t = torch.tensor(targets, dtype=torch.float64)
    return losscope.Objective(Product(u, v), half_square, (torch.ones_like(t), t))


def test_the_invariant_shrinks_by_exactly_the_squared_residual():
    """d = u² - v² obeys d ← d (1 - η² r²) for every step, whatever the label noise is."""
    torch.manual_seed(0)
    u, v, rate = 2.0, 0.3, 0.2
    for eps in (0.4 * torch.randn(50, dtype=torch.float64)).tolist():
        gradient = valley(u, v, (1 + eps,)).gradient()
        d, r = u * u - v * v, u * v - 1 - eps
        u, v = u - rate * float(gradient[0]), v - rate * float(gradient[1])
        assert u * u - v * v == pytest.approx(d * (1 - rate**2 * r**2), rel=1e-12)
        assert u * u - v * v != pytest.approx(d * (1 - rate * r**2), rel=1e-6)  # a plausible wrong law
    assert abs(u * u - v * v) < 2.0**2 - 0.3**2


@pytest.mark.parametrize("u", [0.4, 1.0, 3.0])
def test_the_trace_in_the_valley(u):
    objective = valley(u, 1 / u)
    d = u**2 - u**-2
    assert losscope.estimators.trace(Hessian(objective)).value == pytest.approx(math.sqrt(d * d + 4))


@pytest.mark.parametrize("u", [1.0, 3.0])
def test_the_rise_is_half_the_trace_and_its_next_order_is_known(u):
    """½σ² tr H, and then σ⁴/2: ½ E (u b + v a + ab)² with independent a, b."""
    sigma, objective = 0.2, valley(u, 1 / u)
    second = 0.5 * sigma**2 * (u**2 + u**-2)
    found = losscope.estimators.expected_rise(objective, isotropic(objective, sigma), pairs=400)
    assert found.second.value == pytest.approx(second) and found.second.stderr == 0.0
    assert abs(found.direct.value - second - sigma**4 / 2) < 3.5 * found.direct.stderr
    assert abs(found.higher.value - sigma**4 / 2) < 3.5 * found.higher.stderr
    assert found.higher.stderr < found.direct.stderr and found.value.stderr == found.higher.stderr
    relative = losscope.estimators.expected_rise(objective, element_scaled(objective, 0.1), pairs=8)
    assert relative.second.value == pytest.approx(0.01)  # ½ρ²(u²v² + v²u²), all along the valley


def test_the_noise_of_labels_costs_what_curvature_and_covariance_say():
    """With C = var(ε) (v, u)(v, u)ᵀ and H the same matrix, tr(HC) = var(ε)(u² + v²)²."""
    torch.manual_seed(1)
    eps = torch.randn(60, dtype=torch.float64)
    eps = 0.3 * (eps - eps.mean())
    u = 1.5
    objective = valley(u, 1 / u, tuple((1 + eps).tolist()))
    truth = float(eps.var(correction=0)) * (u**2 + u**-2) ** 2
    rise = losscope.estimators.second_order_rise(objective, sgd_noise(objective, 0.1, 4))
    assert rise.value == pytest.approx(0.5 * 0.1 / 4 * truth)
    direct = losscope.estimators.expected_rise(objective, sgd_noise(objective, 0.1, 4), pairs=200)
    assert abs(direct.direct.value - rise.value - direct.higher.value) < 4 * direct.direct.stderr
    found = losscope.estimators.curvature_noise_scale(objective, parts=60)
    assert found.noise.value == pytest.approx(truth * 60 / 59)
