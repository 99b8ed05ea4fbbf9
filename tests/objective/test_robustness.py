"""Objectives over what people train: value, gradient and Hessian against plain autograd; nothing is left behind."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.operators.hessian import Hessian


class Attention(nn.Module):
    """Fused attention kernels have no second derivative."""

    def __init__(self):
        super().__init__()
        self.inside, self.head = nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x):
        q, k, v = self.inside(x).chunk(3, -1)
        return self.head(F.scaled_dot_product_attention(q, k, v)).mean(1)


class Named(nn.Module):
    """Named integer inputs, tied weights, an output with ``.loss``; one parameter is never used."""

    def __init__(self):
        super().__init__()
        self.embed, self.unused = nn.Embedding(6, 3), nn.Linear(2, 2)
        self.head = nn.Linear(3, 6, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, input_ids=None, labels=None):
        logits = self.head(self.embed(input_ids))
        return {"loss": F.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}


def labels(n=10):
    return torch.randint(3, (n,))


def net(*layers):
    return nn.Sequential(nn.Linear(4, 5), *layers, nn.Linear(5, 3))


def cases():
    ids = torch.randint(6, (4, 5))
    cross = F.cross_entropy
    x, y = torch.randn(10, 4), labels()
    return {
        "batch norm": (net(nn.BatchNorm1d(5), nn.Tanh()), cross, (x, y)),
        "dropout": (net(nn.Dropout(0.4), nn.GELU()), cross, (x, y)),
        "attention": (Attention(), cross, (torch.randn(10, 6, 4), y)),
        "named": (Named(), None, {"input_ids": ids, "labels": ids.flip(0)}),
        "plain function": (net(nn.Tanh()), lambda p, t: (p.logsumexp(1) - p[range(10), t]).mean(), (x, y)),
        "uneven": (net(nn.Tanh()), cross, [(x[:7], y[:7]), (x[7:], y[7:])]),
    }


def state(model):
    grads = [p.grad for p in model.parameters()]
    return copy.deepcopy(model.state_dict()), grads, model.training, torch.get_rng_state()


@pytest.mark.parametrize("name", cases())
def test_hessian_products_are_differences_of_gradients_and_nothing_changes(name):
    model, loss, data = cases()[name]
    objective = losscope.Objective(model, loss, data, dtype=torch.float64)
    theta, direction = objective.theta, torch.randn(objective.size, dtype=torch.float64)
    step = 1e-5
    ahead = objective.gradient(theta + step * direction) - objective.gradient(theta - step * direction)
    product = Hessian(objective) @ direction
    torch.testing.assert_close(product, ahead / (2 * step), rtol=1e-5, atol=1e-7)
    own = losscope.Objective(model, loss, data)
    before = state(model)
    assert own.value() == own.value()  # the same masks, the same statistics
    _ = own.gradient(), Hessian(own) @ direction.float()
    after = state(model)
    assert all(torch.equal(before[0][key], after[0][key]) for key in before[0])
    assert before[1] == after[1] and before[2] == after[2] and torch.equal(before[3], after[3])


def test_bfloat16_is_examined_where_it_is():
    model = net(nn.Tanh()).bfloat16()
    objective = losscope.Objective(model, F.cross_entropy, (torch.randn(10, 4).bfloat16(), labels()))
    found = losscope.examine(objective, 20)
    assert found["value"].value.value == pytest.approx(1.1, abs=0.5) and not found.left_out
    exact = losscope.Objective(model, F.cross_entropy, objective.batches, dtype=torch.float32)
    top = losscope.examine(exact, 20)["sharpness"].value.value
    assert found["sharpness"].value.value == pytest.approx(top, rel=0.1)


def test_compiled_parts_run_as_they_are_written():
    torch.manual_seed(0)
    inner, head = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), nn.Linear(4, 2)
    x, y = torch.randn(6, 3), torch.randint(2, (6,))
    plain = Hessian(losscope.Objective(nn.Sequential(inner, head), F.cross_entropy, (x, y))).dense()
    try:
        parts = nn.Sequential(torch.compile(inner, backend="aot_eager"), head)
        loss = torch.compile(F.cross_entropy, backend="aot_eager")
        assert torch.equal(Hessian(losscope.Objective(parts, loss, (x, y))).dense(), plain)
    finally:
        torch.compiler.reset()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"device": "cuda:7"}, "cannot be moved"),
        ({"device": "gpu"}, "cannot be moved"),
        ({"dtype": "float64"}, "real floating-point"),
    ],
)
def test_types_and_devices_that_are_none(how, said):
    data = torch.ones(2, 1), torch.ones(2, 1)
    with pytest.raises(BadUsage, match=said):
        losscope.Objective(nn.Linear(1, 1), F.mse_loss, data, **how)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_model_that_cannot_be_copied():
    model = nn.utils.weight_norm(nn.Linear(1, 1))  # keeps a weight with its graph
    data = torch.ones(2, 1), torch.ones(2, 1)
    with pytest.raises(BadUsage, match="cannot be copied"):
        losscope.Objective(model, F.mse_loss, data, dtype=torch.float64)


def test_a_compiled_model_is_looked_at_uncompiled():
    x, y = torch.randn(10, 4), labels()
    model = net(nn.Tanh())
    try:
        compiled = losscope.Objective(torch.compile(model, backend="eager"), F.cross_entropy, (x, y))
        plain = losscope.Objective(model, F.cross_entropy, (x, y))
        direction = torch.ones(plain.size)
        assert torch.equal(Hessian(compiled) @ direction, Hessian(plain) @ direction)
    finally:
        torch._dynamo.reset()


def test_exhausted_data_and_parameters_that_are_no_numbers_are_one_line():
    model = net()
    batches = ((torch.randn(2, 4), labels(2)) for _ in range(2))
    losscope.Objective(model, F.cross_entropy, batches)
    with pytest.raises(BadUsage, match="no sample"):
        losscope.Objective(model, F.cross_entropy, batches)  # a generator is there once
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    with pytest.raises(BadUsage, match="not finite"):
        losscope.Objective(model, F.cross_entropy, (torch.randn(2, 4), labels(2)))
    with pytest.raises(BadUsage, match="differentiable"):
        losscope.Objective(
            net(), lambda p, t: (p.argmax(1) == t).float().mean(), (torch.randn(2, 4), labels(2))
        ).gradient()
