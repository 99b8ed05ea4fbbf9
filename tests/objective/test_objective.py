"""Objectives as structural risk: values, weights of batches, and bad input."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import losscope
from losscope.core.errors import BadUsage


def data(n=50, classes=3):
    torch.manual_seed(0)
    return torch.randn(n, 4), torch.randint(classes, (n,))


def in_batches(x, y, size):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


LOSSES = {
    "mean": (F.cross_entropy, F.cross_entropy),
    "sum": (
        lambda p, y: F.cross_entropy(p, y, reduction="sum"),
        lambda p, y: F.cross_entropy(p, y, reduction="sum") / len(y),
    ),
    "ignored labels": (
        lambda p, y: F.cross_entropy(p, y, ignore_index=1),
        lambda p, y: F.cross_entropy(p, y, ignore_index=1),
    ),
    "class weights": (
        lambda p, y: F.cross_entropy(p, y, weight=torch.tensor([1.0, 5.0, 0.2])),
        lambda p, y: F.cross_entropy(p, y, weight=torch.tensor([1.0, 5.0, 0.2])),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [50, 20, 7, 1])
def test_the_value_does_not_depend_on_the_batches(name, size):
    loss, whole = LOSSES[name]
    x, y = data()
    y[:9] = 1  # unequal shares of the classes
    model = nn.Linear(4, 3)
    objective = losscope.Objective(model, loss, in_batches(x, y, size))
    expected = whole(model(x), y)
    assert objective.value() == pytest.approx(expected.item(), rel=1e-5)
    gradient = torch.autograd.grad(expected, list(model.parameters()))
    torch.testing.assert_close(objective.gradient(), torch.cat([g.reshape(-1) for g in gradient]))


def test_value_and_gradient_elsewhere():
    x, y = data()
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    objective = losscope.Objective(model, F.cross_entropy, in_batches(x, y, 20), penalty=0.01)
    theta = objective.theta
    other = theta + 0.1 * torch.randn_like(theta)
    value = objective.value(other)
    slope = objective.gradient(other) @ (theta - other)
    nn.utils.vector_to_parameters(other, model.parameters())
    assert objective.value() == pytest.approx(value, rel=1e-6)
    assert objective.gradient() @ (theta - other) == pytest.approx(float(slope), rel=1e-4)


def test_chance_floor_and_skill():
    x, y = data()
    model = nn.Linear(4, 3)
    objective = losscope.Objective(model, nn.CrossEntropyLoss(label_smoothing=0.1), in_batches(x, y, 20))
    assert objective.floor == pytest.approx(
        -(0.9333333 * math.log(0.9333333) + 0.0666667 * math.log(0.0333333)), rel=1e-4
    )
    assert math.log(3) * 0.95 < objective.chance < math.log(3) * 1.05
    value = objective.data_value()
    assert objective.skill == pytest.approx((objective.chance - value) / (objective.chance - objective.floor))
    assert objective.expression == "1.0 · cross_entropy(logits[20,3], y; mean, label_smoothing=0.1)"


@pytest.mark.parametrize("form", ["attribute", "key", "tuple", "scalar"])
def test_a_model_may_return_its_own_loss(form):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, inputs, labels):
            loss = F.cross_entropy(self.linear(inputs), labels)
            return {
                "attribute": SimpleNamespace(loss=loss),
                "key": {"loss": loss},
                "tuple": (loss, 1),
                "scalar": loss,
            }[form]

    x, y = data()
    model = Model()
    objective = losscope.Objective(model, data=[{"inputs": x, "labels": y}])
    assert objective.value() == pytest.approx(F.cross_entropy(model.linear(x), y).item())
    assert objective.samples == 50


def test_several_inputs_and_a_copy_in_double():
    x, y = data()
    model = nn.Bilinear(4, 4, 3)
    objective = losscope.Objective(model, F.cross_entropy, [(x, x.flip(0), y)], dtype=torch.float64)
    assert objective.gradient().dtype == torch.float64
    assert model.weight.dtype == torch.float32
    assert objective.value() == pytest.approx(F.cross_entropy(model(x, x.flip(0)), y).item(), rel=1e-6)


def test_tied_weights_count_once_and_frozen_ones_not_at_all():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    model[0].bias.requires_grad_(False)
    x, _ = data()
    objective = losscope.Objective(model, F.mse_loss, (x, x))
    assert objective.names == ["0.weight", "1.bias"]
    assert objective.size == 20
    theta = objective.theta
    assert objective.value(theta) == objective.value()


def test_a_generator_is_kept():
    x, y = data()
    objective = losscope.Objective(nn.Linear(4, 3), F.cross_entropy, (b for b in in_batches(x, y, 20)))
    assert objective.value() == objective.value()
    assert objective.samples == 50


BAD = {
    "not a module": (lambda x: x, F.mse_loss, "must be a torch.nn.Module"),
    "nothing to train": (nn.Flatten(), F.cross_entropy, "nothing to train"),
    "loss not a scalar": (
        nn.Linear(4, 3),
        lambda p, y: F.cross_entropy(p, y, reduction="none"),
        "not one number",
    ),
    "loss not a tensor": (nn.Linear(4, 3), lambda p, y: 1.0, "is no tensor"),
    "loss detached": (nn.Linear(4, 3), lambda p, y: F.cross_entropy(p.detach(), y), "does not depend"),
    "no loss": (nn.Linear(4, 3), None, "not one number"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name):
    model, loss, says = BAD[name]
    x, y = data()
    inputs = (x,) if loss is None else (x, y)
    with pytest.raises(BadUsage, match=says) as caught:
        losscope.Objective(model, loss, inputs).gradient()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "says"), [([], "no sample"), (3, "no data"), ([3], "no batch"), (iter(()), "no sample")]
)
def test_data_that_are_none(given, says):
    with pytest.raises(BadUsage, match=says):
        losscope.Objective(nn.Linear(4, 3), F.cross_entropy, given)


def test_parameters_that_are_not_finite():
    model = nn.Linear(4, 3)
    nn.init.constant_(model.bias, math.nan)
    with pytest.raises(BadUsage, match="bias"):
        losscope.Objective(model, F.cross_entropy, data())


def test_a_vector_of_the_wrong_size():
    objective = losscope.Objective(nn.Linear(4, 3), F.cross_entropy, data())
    with pytest.raises(BadUsage, match="vector of all parameters"):
        objective.value(torch.zeros(3))


@pytest.mark.parametrize("change", ["assign", "attribute", "frozen"])
def test_other_parameters_than_at_the_start_are_refused(change):
    """Silently the gradient would be 0, and a kept Hessian that of the old parameters."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    objective = losscope.Objective(model, nn.functional.mse_loss, (torch.randn(5, 3), torch.randn(5, 2)))
    hessian = losscope.operators.Hessian(objective)
    _ = hessian @ torch.ones(objective.size)
    if change == "assign":
        model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()}, assign=True)
    elif change == "attribute":
        model[0].weight = nn.Parameter(torch.zeros(4, 3))
    else:
        model[0].weight.requires_grad_(False)
    for ask in (objective.value, objective.gradient, lambda: hessian @ torch.ones(objective.size)):
        with pytest.raises(BadUsage, match="other parameters"):
            ask()
