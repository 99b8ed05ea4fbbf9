"""The tangent kernel of a network against plain Jacobians; other parameters, other inputs, every form of it."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from losscope.core.errors import BadUsage
from losscope.kernels.functions.empirical_ntk import EmpiricalNTK
from losscope.objective.objective import Objective


def _mlp():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def _conv():
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 2, 2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(18, 3)
    )


class _Scaled(nn.Module):
    """A parameter that belongs to no layer of a known kind."""

    def __init__(self):
        super().__init__()
        self.inner, self.scale = _mlp(), nn.Parameter(torch.tensor(0.7))

    def forward(self, x):
        return self.scale * self.inner(x)


class _Softmax(nn.Module):
    """Outputs whose sum does not depend on the parameters."""

    def __init__(self):
        super().__init__()
        self.inner = _mlp()

    def forward(self, x):
        return self.inner(x).softmax(1)


NETWORKS = {"mlp": _mlp, "conv": _conv, "not by layers": _Scaled, "softmax": _Softmax}


def reference(model, x, z):
    """J(x) J(z)ᵀ [n, C, m, C] by one backward pass for each prediction."""

    def rows(inputs):
        out = model(inputs)
        found = []
        for value in out.reshape(-1):
            grads = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
            found.append(torch.cat([g.reshape(-1) for g in grads]))
        return torch.stack(found)

    return (rows(x) @ rows(z).T).view(len(x), 3, len(z), 3)


def wanted(full, outputs):
    if outputs == "full":
        return full.reshape(full.shape[0] * 3, -1)
    return full.diagonal(dim1=1, dim2=3).mean(2) if outputs == "shared" else full.sum((1, 3)) / 3


def problem(name):
    torch.manual_seed(0)
    model, x, y = NETWORKS[name](), torch.randn(7, 4), torch.randint(3, (7,))
    return model, x, Objective(model, nn.CrossEntropyLoss(), [(x[:4], y[:4]), (x[4:], y[4:])], penalty=0.1)


@pytest.mark.parametrize("outputs", ["shared", "full", "sum"])
@pytest.mark.parametrize("name", NETWORKS)
def test_against_jacobians(name, outputs):
    model, x, objective = problem(name)
    z, double = torch.randn(5, 4), copy.deepcopy(model).double()
    kernel = EmpiricalNTK(objective, outputs=outputs)
    own = wanted(reference(double, x.double(), x.double()), outputs)
    torch.testing.assert_close(kernel(), own, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(kernel(x), own, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(kernel.diagonal(), own.diagonal(), rtol=1e-10, atol=1e-12)
    across = wanted(reference(double, x.double(), z.double()), outputs)
    torch.testing.assert_close(kernel(None, z), across, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(kernel(x, z.numpy()), across, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(kernel(z, x), wanted(reference(double, z.double(), x.double()), outputs))


def test_at_other_parameters_and_without_a_trace():
    model, _, objective = problem("mlp")
    start = copy.deepcopy(model)
    before = EmpiricalNTK(objective)()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3)
    after = EmpiricalNTK(objective)()
    assert float((after - before).norm()) > 0.1 * float(before.norm())
    vector = torch.cat([p.detach().reshape(-1) for p in start.parameters()])
    for given in (start, start.state_dict(), vector):
        torch.testing.assert_close(EmpiricalNTK(objective, given)(), before)
    torch.testing.assert_close(EmpiricalNTK(objective)(), after)  # the model is as it was
    assert all(p.grad is None and p.dtype == torch.float32 for p in model.parameters())


def test_one_output_without_an_axis():
    line = nn.Sequential(nn.Linear(3, 1, bias=False), nn.Flatten(0))
    x = torch.randn(5, 3)
    objective = Objective(line, nn.functional.mse_loss, (x, torch.zeros(5)))
    for outputs in ("shared", "full", "sum"):
        torch.testing.assert_close(EmpiricalNTK(objective, outputs=outputs)(), (x @ x.T).double())


def test_bad_input_is_one_line():
    model, _, objective = problem("mlp")
    for call, says in (
        (lambda: EmpiricalNTK(model), "that of an Objective"),
        (lambda: EmpiricalNTK(objective, outputs="all"), "shared, full or sum"),
        (lambda: EmpiricalNTK(objective, torch.zeros(3)), r"\(3,\), not \(51,\)"),
        (lambda: EmpiricalNTK(objective, {"0.weight": torch.zeros(2)}), "no 0.weight of shape"),
        (lambda: EmpiricalNTK(objective, torch.full((51,), np.nan)), "not finite"),
        (lambda: EmpiricalNTK(objective, 3.0), "a vector, a state_dict or a model"),
    ):
        with pytest.raises(BadUsage, match=says):
            call()
