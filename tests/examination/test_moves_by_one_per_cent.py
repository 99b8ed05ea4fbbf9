"""The worst move by at most 1 % of each weight is never below the mean of random ones of 1 %: corners of that box."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.estimators.flatness.adaptive_sharpness import adaptive_sharpness


def least_squares():
    torch.manual_seed(0)
    x, t = torch.randn(100, 3).double(), torch.randn(100, 1).double()
    t = t + x.sum(1, keepdim=True)
    line = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        line.weight.copy_(torch.linalg.lstsq(x, t).solution.T)
    return losscope.Objective(line, F.mse_loss, (x, t))


def network():
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    return losscope.Objective(
        layers, nn.CrossEntropyLoss(), (torch.randn(30, 4).double(), torch.randint(3, (30,)))
    )


@pytest.mark.parametrize("make", [least_squares, network])
def test_the_worst_is_not_below_the_mean(make):
    objective = make()
    found = losscope.examine(objective, 30, only=["flatness", "layer-flatness"])
    mean, worst = found["relative-flatness"].value.value, found["adaptive-sharpness"].value.value
    assert worst >= mean > 0
    for name in ("relative-flatness", "adaptive-sharpness"):
        assert "each weight off by" in str(found[name].text) and "每个权重" in found[name].text.render("zh")
    if (
        make is least_squares
    ):  # the ball of the same radius, which moves all weights by what the box moves each
        assert adaptive_sharpness(objective, 0.01).rise.value < mean


def test_random_signs_against_the_closed_form():
    """½ε² Σ θᵢ² Hᵢᵢ, exactly, for a quadratic without mixed terms."""
    x = torch.eye(3, dtype=torch.float64)
    line = nn.Linear(3, 1, bias=False).double()
    theta = line.weight.detach()[0]
    objective = losscope.Objective(line, F.mse_loss, (x, line(x).detach()))
    found = losscope.examine(objective, 10, only=["flatness"])["relative-flatness"]
    expected = 0.5 * 1e-4 * float((theta**2).sum()) * 2 / 3
    assert found.value.value == pytest.approx(expected, rel=1e-9)


class Bump(nn.Module):
    """-Σ (p - 1)² at p = 1."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.ones(3, dtype=torch.float64))

    def forward(self):
        return -((self.p - 1) ** 2).sum()


def test_at_a_maximum_the_worst_is_to_stay():
    objective = losscope.Objective(Bump())
    found = losscope.examine(objective, 10, only=["flatness", "layer-flatness"])
    assert found["adaptive-sharpness"].value.value == 0
    assert "lowers the loss by 0.0003" in str(found["relative-flatness"].text)
    assert adaptive_sharpness(objective, 0.1).displacement.norm() < 1e-12
