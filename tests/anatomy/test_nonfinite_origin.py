"""The origin of a NaN or an infinity is named, and nothing else is blamed."""

import torch
import torch.nn.functional as F
from torch import nn

from losscope.anatomy.nonfinite import nonfinite_origin

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def test_finite_losses_have_no_origin() -> None:
    assert nonfinite_origin(mlp()(X).mean()) is None
    assert nonfinite_origin(torch.tensor(float("nan"))) is None


def test_logarithm_of_zero() -> None:
    origin = nonfinite_origin(torch.log(mlp()(X).relu() * 0).mean())
    assert origin is not None
    assert (origin.what, origin.node) == ("operation", "LogBackward0")
    assert "inf" in origin.text
    assert "between 0 and 0" in origin.text


def test_root_of_a_negative_number_deep_inside() -> None:
    net, head = mlp(), nn.Linear(3, 2)
    hidden = torch.sqrt(net(X) - 100.0)
    origin = nonfinite_origin(F.cross_entropy(head(hidden), torch.zeros(8, dtype=torch.long)))
    assert origin is not None
    assert origin.node == "SqrtBackward0"
    assert any(p is net[2].bias for p in origin.parameters)
    assert not any(p is head.weight for p in origin.parameters)


def test_overflow_of_exp_before_the_nan_it_causes() -> None:
    big = torch.exp(1000 * mlp()(X).abs() + 1000)
    origin = nonfinite_origin((big - big).mean())
    assert origin is not None
    assert origin.node == "ExpBackward0"


def test_a_parameter_that_is_nan() -> None:
    net = mlp()
    with torch.no_grad():
        net[0].weight[0, 0] = torch.nan
    origin = nonfinite_origin(F.mse_loss(net(X), torch.zeros(8, 3)))
    assert origin is not None
    assert origin.what == "parameter"
    assert origin.parameters[0] is net[0].weight


def test_data_and_targets_that_are_nan() -> None:
    bad = X.clone()
    bad[0, 0] = torch.nan
    origin = nonfinite_origin(F.mse_loss(mlp()(bad), torch.zeros(8, 3)))
    assert origin is not None
    assert origin.what == "input"
    target = torch.zeros(8, 3)
    target[1] = torch.nan
    origin = nonfinite_origin(F.mse_loss(mlp()(X), target))
    assert origin is not None
    assert origin.what == "input"
    assert "target" in origin.text


def test_the_infinities_of_an_attention_mask_are_innocent() -> None:
    net = mlp()
    scores = net(X).masked_fill(torch.tensor([False, True, False]), -torch.inf)
    attention = scores.softmax(1)
    origin = nonfinite_origin(torch.log(attention.sum(1) - 1.0 - 1e-3).mean())
    assert origin is not None
    assert origin.node == "LogBackward0"
    everything = net(X).masked_fill(torch.ones(3, dtype=torch.bool), -torch.inf).softmax(1)
    origin = nonfinite_origin(everything.mean())
    assert origin is not None
    assert origin.node == "SoftmaxBackward0"


def test_division_by_zero_in_a_mean_over_nothing() -> None:
    logits = mlp()(X)
    origin = nonfinite_origin(F.cross_entropy(logits, torch.full((8,), -100)))
    assert origin is not None
    assert origin.node == "NllLossBackward0"
