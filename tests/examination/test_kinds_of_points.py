"""Maxima, saddles, plains and exact minima by their names, and no sentence about a gradient that is rounding."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope


class Function(nn.Module):
    def __init__(self, function, at):
        super().__init__()
        self.p = nn.Parameter(torch.tensor(at, dtype=torch.float64))
        self.function = function

    def forward(self):
        return self.function(self.p)


def examined(function, at, **options):
    return losscope.examine(losscope.Objective(Function(function, at)), 20, **options)


def saddle(p):
    return p[0] ** 2 - p[1] ** 2


POINTS = {
    "a maximum: every": (lambda p: -(p**2).sum(), [0.0, 0.0, 0.0]),
    "a maximum: every direction": (lambda p: 3 - p[0] ** 2 - 0.01 * p[1] ** 2, [0.0, 0.0]),
    "a saddle: ": (saddle, [0.0, 0.0]),
    "a saddle or a maximum": (lambda p: -(p[0] ** 2) + 0 * p[1], [0.0, 0.0]),
    "flat: ": (lambda p: 0 * p.sum() + 2.0, [1.0, 1.0]),
    "a minimum": (lambda p: (p**2).sum(), [0.0, 0.0]),
    "on a slope without curvature": (lambda p: p.sum(), [1.0, 1.0]),
    "on a slope where no direction curves upwards": (lambda p: -(p**2).sum(), [1.0, 1.0]),
}


@pytest.mark.parametrize("name", POINTS)
def test_a_point_is_called_what_it_is(name):
    found = examined(*POINTS[name])
    assert found.sentence().lower().startswith(name)
    assert "inf" not in found.summary() and "e-32" not in found.summary()
    assert "more than the whole loss" not in found.summary()
    assert found.sentence("zh") != found.sentence()


def test_how_far_the_loss_falls_is_said():
    found = examined(saddle, [0.0, 0.0])["state"]
    assert "falls by 1 within a distance of 1, the furthest that was tried" in str(found.text)
    assert found.figures["escape"] == pytest.approx(1) == found.figures["distance"]
    bounded = examined(lambda p: p[0] ** 2 - p[1] ** 2 + 5 * p[1] ** 4, [0.0, 0.0])["state"]
    assert bounded.figures["distance"] == pytest.approx(0.3)  # of those tried the next to √0.1
    assert "furthest" not in str(bounded.text)


def fitted(dtype):
    torch.manual_seed(0)
    x = torch.randn(100, 3, dtype=dtype)
    t = x.sum(1, keepdim=True) + torch.randn(100, 1, dtype=dtype)
    line = nn.Linear(3, 1, bias=False, dtype=dtype)
    with torch.no_grad():
        line.weight.copy_(torch.linalg.lstsq(x.double(), t.double()).solution.T)
    return losscope.Objective(line, F.mse_loss, (x, t))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_an_exact_minimum_the_gradient_is_rounding(dtype):
    objective = fitted(dtype)
    assert float(objective.gradient().norm()) > 0
    found = losscope.examine(objective, 20)
    assert found.sentence().startswith("A minimum") and "0 to rounding" in found.sentence()
    assert not {"noise-scale", "within-noise"} & {fact.name for fact in found.facts}
    assert "0 to rounding" in str(found["gradient-norm"].text)


@pytest.mark.parametrize("off", [1e-4, 1e-2])
def test_a_small_gradient_that_is_no_rounding_is_not_called_that(off):
    objective = fitted(torch.float64)
    with torch.no_grad():
        objective.parameters[0].mul_(1 + off)
    found = losscope.examine(objective, 20, only=["noise", "state"])
    assert "rounding" not in found.summary() and found["within-noise"]
    assert "noise scale not known" in str(found["noise-scale"].text)
    assert found.sentence().startswith(("A minimum", "On a slope"))  # before what chance does


def test_a_constant_penalty_costs_looks_and_raises_nothing():
    x = torch.randn(8, 3)
    data = x, torch.randn(8, 1)
    for penalty in (lambda m: 0 * m.weight.sum() + 0.1, lambda m: 0 * m.bias.sum() + 0.1):
        objective = losscope.Objective(nn.Linear(3, 1), F.mse_loss, data, penalty)
        for only in ((), ("sharpness", "state", "spectrum"), ("state",)):
            found = losscope.examine(objective, 10, only=only)
            assert found.facts or found.left_out


def test_more_seconds_are_not_promised_where_the_search_has_ended():
    """Many small curvatures: the bound of the smallest is what the tolerance makes it, and is stated."""
    h = torch.linspace(1e-4, 1.0, 300, dtype=torch.float64) ** 2
    found = examined(lambda p: (h * p**2).sum(), [0.0] * 300)
    assert not found.unfinished and "more seconds" not in found.summary()
    assert found.sentence().startswith("A minimum") and found["state"].figures["converged"]
