"""Activation checkpointing: everything as without it, at other parameters too, and nothing is left switched off."""

from contextlib import contextmanager, nullcontext

import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint as checkpointing
from torch import nn
from torch.utils.checkpoint import CheckpointFunction, checkpoint

import losscope
from losscope.objective import evaluation
from losscope.operators.gauss_newton import GaussNewton
from losscope.operators.hessian import Hessian


class Net(nn.Module):
    """The first half is computed again in the backward pass: it norms by the batch, drops, and attends."""

    def __init__(self, **how):
        super().__init__()
        self.how = how
        self.one, self.norm, self.two = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def first(self, x, *, shift=0.0):
        h = F.dropout(torch.tanh(self.norm(self.one(x))), 0.3, self.training) + shift
        return F.scaled_dot_product_attention(h[None], h[None], h[None])[0]

    def forward(self, x):
        if self.how.get("direct"):
            return self.two(CheckpointFunction.apply(self.first, True, x.clone().requires_grad_()))
        return self.two(checkpoint(self.first, x, **self.how) if self.how else self.first(x))


WAYS = {
    "not reentrant": {"use_reentrant": False},
    "reentrant": {"use_reentrant": True},
    "the function itself": {"direct": True},
    "with contexts": {"use_reentrant": False, "context_fn": lambda: (nullcontext(), nullcontext())},
}


def problem(**how):
    torch.manual_seed(0)
    model = Net(**how).double()
    x, y = torch.randn(10, 4, dtype=torch.float64), torch.randint(3, (10,))
    return model, losscope.Objective(model, F.cross_entropy, [(x[:6], y[:6]), (x[6:], y[6:])])


def found(objective):
    theta = objective.theta + 0.3 * torch.linspace(-1, 1, objective.size, dtype=torch.float64)
    vector = torch.ones(objective.size, dtype=torch.float64)
    return {
        "value": torch.tensor(objective.value(theta)),
        "gradient": objective.gradient(theta),
        "Hessian": Hessian(objective) @ vector,
        "Gauss-Newton": GaussNewton(objective) @ vector,
    }


def switched():
    """What is switched off for a while."""
    return CheckpointFunction.apply, checkpointing._checkpoint_without_reentrant_generator


@pytest.mark.parametrize("way", WAYS)
def test_everything_is_as_without_checkpoints(way):
    model, objective = problem(**WAYS[way])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    functions = switched()
    plain = found(problem()[1])
    for name, value in found(objective).items():
        torch.testing.assert_close(value, plain[name], rtol=1e-12, atol=1e-14, msg=name)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert functions == switched()


def test_the_users_own_checkpoints_still_compute_again():
    model, objective = problem(use_reentrant=False)
    objective.value()
    runs, first = [], model.first
    model.first = lambda x: (runs.append(1), first(x))[1]
    model(torch.randn(5, 4, dtype=torch.float64)).sum().backward()
    assert len(runs) == 2


def test_checkpoints_that_stay_on_are_noticed(monkeypatch):
    """The planted mutant: the model recomputes with its own parameters."""

    @contextmanager
    def nothing():
        yield

    monkeypatch.setattr(evaluation, "checkpointing_off", nothing)
    model, objective = problem(use_reentrant=False)
    model.eval()  # else the recomputation draws other masks
    model.first = lambda x: torch.tanh(model.one(x))
    theta = objective.theta + 0.3
    step = torch.randn(objective.size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 1e-6
    difference = objective.value(theta + step) - objective.value(theta - step)
    assert abs(float(2 * objective.gradient(theta) @ step) - difference) > 1e-3 * abs(difference)
