"""Of a loss that sums: value, levels and stable rates at one scale each, against torch's own steps and by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.estimators.flatness.stability import stability
from losscope.objective.objective import Objective


def problem(n=100):
    torch.manual_seed(0)
    x = torch.randn(n, 4, dtype=torch.float64)
    return nn.Linear(4, 1).double(), x, x @ torch.randn(4, 1, dtype=torch.float64)


SUM = nn.MSELoss(reduction="sum")
MAKERS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "weight decay": {"weight_decay": 50.0},
}


def shrinks(rate, how, penalty=None):
    """Whether gradient descent on the loss as the user has it comes to rest."""
    model, x, y = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, **how)
    for _ in range(300):
        optimizer.zero_grad()
        loss = SUM(model(x), y)
        if penalty is not None:
            loss = loss + penalty * 0.5 * sum(p.square().sum() for p in model.parameters())
        loss.backward()
        optimizer.step()
    return all(bool(p.abs().max() < 1e3) for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "penalty"),
    [("plain", None), ("momentum", None), ("weight decay", None), ("plain", 40.0), ("momentum", 40.0)],
)
def test_rates_are_those_of_the_sum(name, penalty):
    model, x, y = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, **MAKERS[name])
    objective = losscope.Objective(model, SUM, (x, y), penalty)
    rate = stability(objective, optimizer).stable_rates[0]
    assert shrinks(0.97 * rate, MAKERS[name], penalty) and not shrinks(1.03 * rate, MAKERS[name], penalty)
    fact = losscope.examine(objective, 20, optimizer=optimizer, only="stability")["stability"]
    assert fact.figures["stable rates"] == pytest.approx([rate], rel=1e-2)
    assert fact.figures["scale"] == 100
    assert "as it sums, with 100 times" in fact.text.render("en") and "100 倍" in fact.text.render("zh")


def test_adam_is_read_at_the_scale_of_its_own_gradients():
    """Its step does not depend on the scale of the loss: the sum is as stable as the mean is."""
    found = []
    for reduction in ("sum", "mean"):
        model, x, y = problem()
        loss = nn.MSELoss(reduction=reduction)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-9, eps=0)
        for _ in range(3):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
        found.append(stability(losscope.Objective(model, loss, (x, y)), optimizer).stable_rates[0])
    assert found[0] == pytest.approx(found[1], rel=1e-2)


@pytest.mark.parametrize("sizes", [[100], [60, 40]])
def test_levels_are_at_the_scale_of_the_value(sizes):
    model, x, y = problem()
    data = list(zip(x.split(sizes), y.split(sizes), strict=True))
    mean, summed = (losscope.Objective(model, loss, data) for loss in (F.mse_loss, SUM))
    assert summed.value() == pytest.approx(mean.value())
    assert summed.chance == pytest.approx(float(y.var(correction=0))) == mean.chance
    assert summed.floor == 0 and summed.skill == pytest.approx(mean.skill)
    found = losscope.examine(summed, 20, only=["value", "sharpness"])
    assert found["skill"].figures["chance"] == pytest.approx(mean.chance)
    scale = 100 / len(sizes)
    assert found["scale"].value.value == pytest.approx(scale)
    assert f"{scale:g} times its mean" in found.summary() and f"{scale:g} 倍" in found.summary("zh")
    top = float(torch.linalg.eigvalsh(2 * _second_moments(x))[-1])
    assert found["stable-rate"].figures["plain"] == pytest.approx(2 / (top * scale), rel=1e-3)
    assert not [f for f in losscope.examine(mean, 20, only=["value", "stability"]).facts if f.name == "scale"]


def _second_moments(x):
    ones = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    return ones.T @ ones / len(x)


def test_floors_of_unequal_batches_are_averaged_as_their_losses():
    """Soft labels: the floor of a batch is the entropy of its own targets."""
    torch.manual_seed(0)
    x, y = torch.randn(9, 4), torch.softmax(torch.randn(9, 3) * torch.linspace(0, 6, 9)[:, None], 1)
    entropy = float(-(y * y.log()).sum(1).mean())
    for reduction in ("mean", "sum"):
        loss = nn.CrossEntropyLoss(reduction=reduction)
        objective = losscope.Objective(nn.Linear(4, 3), loss, [(x[:6], y[:6]), (x[6:], y[6:])])
        assert objective.floor == pytest.approx(entropy, rel=1e-5)
        mean = y.mean(0)
        assert objective.chance == pytest.approx(float(-(mean * mean.log()).sum()), rel=1e-5)


def test_rates_of_the_mean_are_rejected(monkeypatch):
    """The planted mutant: the rate is compared with the curvature of the mean."""
    monkeypatch.setattr(Objective, "as_given", lambda self: self)
    model, x, y = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    assert not shrinks(
        0.97 * stability(losscope.Objective(model, SUM, (x, y)), optimizer).stable_rates[0], {}
    )
