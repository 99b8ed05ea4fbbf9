"""The preconditioner in an optimiser's state against the step that the optimiser takes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn, optim

import losscope
from losscope.core.errors import BadUsage
from losscope.operators.preconditioner import Preconditioner

LR = 1e-3
OPTIMISERS = {
    "Adam": lambda p: optim.Adam(p, LR, betas=(0.0, 0.9)),
    "AMSGrad": lambda p: optim.Adam(p, LR, betas=(0.0, 0.9), amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, LR, betas=(0.0, 0.9), weight_decay=0),
    "RMSprop": lambda p: optim.RMSprop(p, LR),
    "centred": lambda p: optim.RMSprop(p, LR, centered=True),
    "Adagrad": lambda p: optim.Adagrad(p, LR),
    "SGD": lambda p: optim.SGD(p, LR),
}


def trained(make, steps=4):
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()
    optimizer = make(model.parameters())
    data = torch.randn(20, 4).double(), torch.randint(3, (20,))
    for i in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(data[0][i::2]), data[1][i::2]).backward()
        optimizer.step()
    return losscope.Objective(model, F.cross_entropy, data), optimizer


@pytest.mark.parametrize("name", OPTIMISERS)
def test_it_is_what_the_optimiser_does(name):
    """Without momentum the next step is -η M g with the M that holds after it: bias correction and ε included."""
    objective, optimizer = trained(OPTIMISERS[name])
    before, gradient = objective.theta, objective.gradient()
    optimizer.zero_grad()
    objective.loss_of(0).backward()
    optimizer.step()
    step = before - objective.theta
    torch.testing.assert_close(
        LR * (Preconditioner(objective, optimizer) @ gradient), step, rtol=1e-9, atol=1e-15
    )


def test_learning_rates_of_groups_and_adam_with_decoupled_momentum():
    torch.manual_seed(0)
    model = nn.Linear(2, 2).double()
    optimizer = optim.NAdam(
        [{"params": [model.weight], "lr": 1e-2}, {"params": [model.bias], "lr": 1e-3}], betas=(0.9, 0.99)
    )
    data = torch.randn(5, 2).double(), torch.randn(5, 2).double()
    objective = losscope.Objective(model, F.mse_loss, data)
    objective.loss_of(0).backward()
    optimizer.step()
    g = objective.gradient(objective.theta) * 0 + torch.cat([model.weight.grad.reshape(-1), model.bias.grad])
    expected = 1 / (g.abs() + 1e-8)  # after one step √v̂ = |g|
    expected[4:] /= 10
    torch.testing.assert_close(
        Preconditioner(objective, optimizer).dense().diagonal(), expected, rtol=1e-6, atol=0
    )


def test_bad_input_is_one_line():
    objective, optimizer = trained(OPTIMISERS["Adam"], steps=0)
    with pytest.raises(BadUsage, match="no state"):
        Preconditioner(objective, optimizer)
    with pytest.raises(BadUsage, match="Adadelta"):
        Preconditioner(objective, optim.Adadelta(objective.parameters))
    with pytest.raises(BadUsage, match="not one of the optimiser's"):
        Preconditioner(objective, optim.SGD(nn.Linear(2, 2).parameters(), 0.1))
    with pytest.raises(BadUsage, match="no steps"):
        Preconditioner(objective, optim.SGD(objective.parameters, 0.0))


def test_blocks_by_names_and_sums():
    objective, _ = trained(OPTIMISERS["SGD"])
    hessian = losscope.operators.Hessian(objective)
    dense = hessian.dense()
    torch.testing.assert_close(hessian.block("weight").dense(), dense[:12, :12])
    torch.testing.assert_close(hessian.block(["bias", "weight"]).dense(), dense)
    mixed = 2 * hessian - hessian / 2 + 0.1 * hessian.identity()
    torch.testing.assert_close(mixed.block("bias").dense(), (1.5 * dense + 0.1 * torch.eye(15))[12:, 12:])
    torch.testing.assert_close((-hessian).shifted(1.0).dense(), torch.eye(15) - dense)
    nested = losscope.Objective(
        nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), F.mse_loss, (torch.ones(1, 2), torch.ones(1, 1))
    )
    assert losscope.operators.Hessian(nested).block("0").size == 9
    with pytest.raises(BadUsage, match=r"try .*weight"):
        hessian.block("wei")
    with pytest.raises(BadUsage, match="only an operator"):
        hessian + 1  # type: ignore[operator]
    with pytest.raises(BadUsage, match="no names"):
        losscope.operators.Dense(torch.eye(2)).block("weight")
