"""Lazy or not: networks where the answer is known, and the numbers behind it."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from losscope.core.errors import BadUsage
from losscope.kernels.comparison.finite_width import relu_network
from losscope.kernels.comparison.laziness import kernel_change, laziness
from losscope.kernels.comparison.movement import movement
from losscope.kernels.functions.placed import vector
from losscope.objective.objective import Objective


def data(n=40):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(n, 5, generator=random, dtype=torch.float64)
    return x, (x[:, 0] * x[:, 1]).sign()[:, None] + 0.1 * torch.randn(
        n, 1, generator=random, dtype=torch.float64
    )


class _Times(nn.Module):
    """α(h - h₀): Chizat, Oyallon and Bach's scale, large for lazy training, small for features."""

    def __init__(self, inner, scale):
        super().__init__()
        self.inner, self.scale, self.start = inner, scale, copy.deepcopy(inner).requires_grad_(False)

    def forward(self, x):
        return self.scale * (self.inner(x) - self.start(x))


def trained(scale, width=200, steps=150):
    """Full-batch gradient descent on squares; the rate makes the kernel's speed the same for all scales."""
    x, y = data()
    model = _Times(relu_network(5, width), scale)
    start = copy.deepcopy(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.3 / scale**2 if scale >= 1 else 0.3 / scale)
    for _ in range(steps):
        optimiser.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimiser.step()
    return Objective(model, F.mse_loss, (x, y)), start


def test_a_large_scale_is_lazy_and_a_small_one_learns_features():
    lazy = laziness(*trained(100.0))
    assert (
        lazy.regime == "lazy" and "kernel machine (lazy)" in lazy.sentence() and "惰性" in lazy.sentence("zh")
    )
    assert lazy.unexplained.value < 1e-3 and lazy.kernel.relative < 0.1 and lazy.kernel.alignment > 0.99
    assert lazy.losses["linearised"] == pytest.approx(lazy.losses["network"], rel=0.05)
    rich = laziness(*trained(0.01, width=20, steps=400))
    assert (
        rich.regime == "features" and "learnt features" in rich.sentence() and "特征" in rich.sentence("zh")
    )
    assert rich.unexplained.value - 2 * rich.unexplained.stderr > 0.5 and rich.kernel.relative > 1
    assert rich.kernel.alignment < lazy.kernel.alignment


def test_a_linear_model_is_its_own_kernel_machine():
    x, y = data()
    model = nn.Linear(5, 1).double()
    start = copy.deepcopy(model)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))
    found = laziness(Objective(model, F.mse_loss, (x, y)), start, held_out=data(11))
    assert found.regime == "lazy" and found.unexplained.value < 1e-20
    assert found.kernel.relative == 0 and found.kernel.alignment == pytest.approx(1.0)
    assert found.losses["linearised"] == pytest.approx(found.losses["network"])
    assert found.held_out["linearised"] == pytest.approx(found.held_out["network"])
    # the best function at this distance does at least as well as the one of this distance
    assert found.compared["kernel machine"] <= found.compared["network"] and not found.beats_kernel
    assert found.machine is not None
    assert found.machine.norm <= found.distance


def test_a_quadratic_model_by_hand():
    """f = θ² x from θ₀ = 1 to θ: linear part 2(θ - 1)x, remainder (θ - 1)² x, kernel (2θ)² x²."""

    class Square(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.theta = nn.Parameter(torch.tensor(value, dtype=torch.float64))

        def forward(self, x):
            return self.theta.square() * x

    x = torch.tensor([[1.0], [2.0], [-3.0]], dtype=torch.float64)
    for theta in (1.5, 3.0, -1.0):
        objective = Objective(Square(theta), F.mse_loss, [(x[:2], x[:2]), (x[2:], x[2:])])
        start = torch.tensor([1.0])
        if theta == -1.0:
            with pytest.raises(BadUsage, match="have not moved"):
                laziness(objective, start)
            continue
        found = laziness(objective, start, compare=False)
        share = (theta - 1) ** 4 / (theta**2 - 1) ** 2
        assert found.unexplained.value == pytest.approx(share) and found.unexplained.stderr < 1e-12
        assert found.regime == ("lazy" if share < 0.5 else "features") or share == pytest.approx(0.25)
        assert found.kernel.relative == pytest.approx(theta**2 - 1) and found.distance == pytest.approx(
            theta - 1
        )
        linear = 1 + 2 * (theta - 1)
        assert found.losses["linearised"] == pytest.approx(float(((linear - 1) * x).square().mean()))
        assert found.why == "not asked for" and found.to_json()["compared"] == {}


def test_standard_error_of_the_share():
    """Against the spread over fresh samples, to 30 %."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    start = copy.deepcopy(model)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.5 * torch.randn_like(p))
    theta, found = None, []
    for _ in range(60):
        x = torch.randn(60, 3).double()
        objective = Objective(model, F.mse_loss, (x, x[:, :1]))
        theta = vector(objective, start) if theta is None else theta
        found.append(movement(objective, theta).unexplained)
    values = torch.tensor([e.value for e in found])
    claimed = float(torch.tensor([e.stderr for e in found]).mean())
    assert claimed == pytest.approx(float(values.std()), rel=0.3)


def test_classes_batches_and_a_part_of_the_data():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3))
    x, y = torch.randn(50, 5), torch.randint(3, (50,))
    start = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.SGD(model.parameters(), 0.5)
    for _ in range(60):
        optimiser.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimiser.step()
    objective = Objective(model, nn.CrossEntropyLoss(), [(x[:30], y[:30]), (x[30:], y[30:])])
    found = laziness(objective, start, samples=30)
    assert found.kernel.samples == 30 and found.excess is not None and found.machine is not None
    assert found.machine.predictions.shape == (30, 3)
    assert found.losses["network"] == pytest.approx(objective.data_value(), rel=1e-5)
    assert kernel_change(objective, start, samples=30) == found.kernel
    text = repr(found)
    assert "tangent kernel" in text and "at the distance" in text and "<pre>" in found._repr_html_()
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_what_cannot_be_compared_is_said():
    x, _ = data()

    def quartic(f, t):
        return ((f - t).square() - 1).square().mean()

    model = nn.Linear(5, 1).double()
    start = copy.deepcopy(model)
    with torch.no_grad():
        model.weight.add_(1.0)
    found = laziness(Objective(model, quartic, (x, x[:, :1])), start)
    assert found.regime == "lazy" and "not convex" in found.why and found.machine is None
    assert "not compared" in repr(found)
    for call, says in (
        (
            lambda: laziness(Objective(model, F.mse_loss, (x, x[:, :1])), nn.Linear(4, 1)),
            "no weight of shape",
        ),
        (lambda: laziness(model, start), "an Objective is compared"),
        (
            lambda: kernel_change(Objective(model, F.mse_loss, (x, x[:, :1])), start, samples=1),
            "at least two",
        ),
    ):
        with pytest.raises(BadUsage, match=says):
            call()
