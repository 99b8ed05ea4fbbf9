"""Stability limits against torch's own optimisers, which are run a little below and a little above them."""

import pytest
import torch
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.estimators.flatness import stability as module
from losscope.estimators.flatness.stability import stability

CURVATURE = torch.tensor([10.0, 3.0, 1.0, 0.2], dtype=torch.float64)


class Bowl(nn.Module):
    """½ Σ h x², in two parameters."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(2, dtype=torch.float64))
        self.two = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self):
        return 0.5 * (CURVATURE * torch.cat([self.one, self.two]) ** 2).sum()


def constant(kind, **options):
    """An adaptive optimiser with ε so large that its preconditioner is ε, after its bias corrections have died out."""

    def make(model, scale):
        optimizer = kind(model.parameters(), lr=scale, eps=1e8, **options)
        model().backward()
        optimizer.param_groups[0]["lr"] = 0.0
        for _ in range(100):
            optimizer.step()
        optimizer.param_groups[0]["lr"] = scale
        return optimizer

    return make


def sgd(**options):
    return lambda model, scale: torch.optim.SGD(model.parameters(), lr=scale, **options)


def groups(model, scale):
    return torch.optim.SGD(
        [{"params": [model.one], "lr": 0.1 * scale}, {"params": [model.two], "lr": 2 * scale}], momentum=0.5
    )


CASES = {
    "gradient descent": (sgd(), 2 / 10),
    "momentum": (sgd(momentum=0.9), 3.8 / 10),
    "dampening": (sgd(momentum=0.5, dampening=0.5), 6 / 10),
    "nesterov": (sgd(momentum=0.9, nesterov=True), 3.8 / 2.8 / 10),
    "weight decay": (sgd(weight_decay=5.0), 2 / 15),
    "groups": (groups, 3 / 2),  # 0.1 · 10 = 1, 2 · 1 = 2
    "adam": (constant(torch.optim.Adam), 38 / 10 * 1e8),
    "adam, no average": (constant(torch.optim.Adam, betas=(0.0, 0.9)), 2 / 10 * 1e8),
    "adamw, amsgrad": (constant(torch.optim.AdamW, amsgrad=True, weight_decay=0.0), 38 / 10 * 1e8),
    "rmsprop": (constant(torch.optim.RMSprop, momentum=0.5), 3 / 10 * 1e8),
    "adagrad": (constant(torch.optim.Adagrad), 2 / 10 * 1e8),
}


def stable(make, scale):
    """Whether 400 steps shrink the loss, and never let it explode."""
    model = Bowl()
    optimizer = make(model, scale)
    first = model().item()
    for _ in range(400):
        optimizer.zero_grad()
        value = model()
        if not value.item() < 1e6 * first:  # before an adaptive optimiser adapts to it
            return False
        value.backward()
        optimizer.step()
    return value.item() < first


def looked_at(make, scale):
    model = Bowl()
    return stability(losscope.Objective(model, None), make(model, scale))


@pytest.mark.parametrize("name", CASES)
def test_the_limit_is_where_the_optimiser_turns_unstable(name):
    make, expected = CASES[name]
    found = looked_at(make, 0.5 * expected)
    assert found.factor == pytest.approx(2, rel=1e-2)
    assert found.stable_rates == pytest.approx([2 * rate for rate in found.rates], rel=1e-2)
    limit = 0.5 * expected * found.factor
    assert stable(make, 0.98 * limit) and not stable(make, 1.02 * limit)


@pytest.mark.parametrize("wrong", [2.0, 3.8 / 0.9])
def test_other_formulas_are_rejected(wrong, monkeypatch):
    """The planted mutants: momentum ignored, and a plausible (2+2β)/β."""
    monkeypatch.setattr(module, "limit_of", lambda step: wrong)
    make, _ = CASES["momentum"]
    limit = 0.1 * looked_at(make, 0.1).factor
    assert not (stable(make, 0.98 * limit) and not stable(make, 1.02 * limit))


def test_it_reads_as_a_sentence():
    assert str(looked_at(groups, 0.1)) == "stable up to lr = 0.15, 3 (now 0.01, 0.2; heavy-ball momentum 0.5)"


def test_adams_own_preconditioner_and_one_that_is_given():
    """The largest eigenvalue of P⁻¹H, with √v̂ + ε after some steps."""
    model = Bowl()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.95))
    for _ in range(5):
        optimizer.zero_grad()
        model().backward()
        optimizer.step()
    objective = losscope.Objective(model, None)
    state = [optimizer.state[p] for p in model.parameters()]
    v = torch.cat([s["exp_avg_sq"] for s in state]) / (1 - 0.95**5)
    p = v.sqrt() + 1e-8
    found = stability(objective, optimizer)
    assert found.sharpness.value == pytest.approx(1e-3 * float((CURVATURE / p).max()), rel=1e-3)
    assert found.limit == pytest.approx(38)
    given = stability(objective, optimizer, preconditioner=p)
    assert given.factor == pytest.approx(found.factor, rel=1e-3)


def test_bad_input_is_one_line():
    model, other = Bowl(), Bowl()
    objective = losscope.Objective(model, None)
    with pytest.raises(BadUsage, match="holds no parameter"):
        stability(objective, torch.optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(BadUsage, match="no state for a parameter yet"):
        stability(objective, torch.optim.Adam(model.parameters()))
    with pytest.raises(BadUsage, match="no preconditioner that is known"):
        stability(objective, torch.optim.Rprop(model.parameters()))
    with pytest.raises(BadUsage, match="rates are 0"):
        stability(objective, torch.optim.SGD(model.parameters(), lr=0.0))
    with pytest.raises(BadUsage, match="different momentum"):
        two = [{"params": [model.one], "momentum": 0.5}, {"params": [model.two]}]
        stability(objective, torch.optim.SGD(two, lr=0.1))
    with pytest.raises(BadUsage, match="positive numbers"):
        stability(objective, torch.optim.SGD(model.parameters(), lr=0.1), preconditioner=-torch.ones(4))
    with pytest.raises(BadUsage, match="optimiser of torch"):
        stability(objective, 0.1)  # type: ignore[arg-type]
