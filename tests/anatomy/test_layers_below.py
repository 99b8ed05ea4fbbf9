"""Layers as the graph holds them, against what the activations themselves say."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from losscope.anatomy import layers as module
from losscope.anatomy.layers import layers_below


def read(loss):
    with torch.no_grad():
        return layers_below(loss)


def silent_of(found, weight):
    return next(u for u in found.units if u.weight is weight)


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.randn(6, 3, 8, 8)


def convolutional(images):
    """Channels 1 and 3 of four are off for all samples; the linear layer has unit 2 of five off."""
    conv, norm, line = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 9, 5)
    with torch.no_grad():
        norm.bias[[1, 3]], line.bias[2] = -100.0, -1e3
    hidden = F.relu(F.max_pool2d(norm(conv(images)), 2))
    top = F.relu(line(hidden.flatten(1)))
    return conv.weight, line.weight, hidden, top, (top**2).sum()


def test_silent_units_are_those_without_a_positive_output(images):
    conv, line, hidden, top, loss = convolutional(images)
    found = read(loss)
    below, above = silent_of(found, conv), silent_of(found, line)
    assert (
        below.silent.tolist() == (hidden <= 0).all(0).all(-1).all(-1).tolist() == [False, True, False, True]
    )
    assert above.silent.tolist() == (top <= 0).all(0).tolist()
    assert above.silent[2] and not above.silent.all()


def test_a_reading_along_the_wrong_axis_is_noticed(images, monkeypatch):
    """Planted: channels taken from the last axis."""
    right = module._by_unit
    monkeypatch.setattr(module, "_by_unit", lambda result, channels: right(result, False))
    conv, _, _, _, loss = convolutional(images)
    assert not any(u.weight is conv for u in read(loss).units)


def test_thinning_keeps_every_sample_and_unit(images, monkeypatch):
    monkeypatch.setattr(module, "_LIMIT", 60)
    conv, _, _, _, loss = convolutional(images)
    silent = silent_of(read(loss), conv).silent
    assert silent.shape == (4,) and silent[1] and silent[3]


def test_saturation_counts_units_whose_slope_is_gone_for_nearly_all_samples():
    first, last = nn.Linear(4, 8), nn.Linear(8, 2)
    with torch.no_grad():
        first.bias[:2], first.bias[2] = 30.0, -30.0
    x = torch.randn(50, 4) * 0.1
    (units,) = read(torch.sigmoid(last(torch.tanh(first(x)))).sum()).units  # the last one goes into the loss
    assert units.weight is first.weight
    assert float(units.saturated) == pytest.approx(3 / 8)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 4), (3, 5, 4)])
def test_inputs_of_linear_layers(shape, bias):
    x = torch.randn(shape) * 3 + 1
    layer, following = nn.Linear(4, 6, bias=bias), nn.Linear(6, 2)
    middle = F.relu(layer(x))
    found = {id(i.weight): i for i in read(following(middle).sum()).inputs}
    first, second = found[id(layer.weight)], found[id(following.weight)]
    assert float(first.rms) == pytest.approx(float(x.square().mean().sqrt()), rel=1e-5)
    assert torch.allclose(first.mean, x.flatten(0, -2).mean(0), atol=1e-5)
    assert torch.allclose(first.deviation, x.flatten(0, -2).std(0, correction=0), atol=1e-5)
    assert float(second.rms) == pytest.approx(float(middle.detach().square().mean().sqrt()), rel=1e-5)
    assert second.mean is None  # no data: a gradient passes


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalisation_tells_its_mode(training):
    norm = nn.BatchNorm1d(4).train(training)
    layer = nn.Linear(3, 4)
    (found,) = read(norm(layer(torch.randn(9, 3))).sum()).norms
    assert (found.training, found.samples) == (training, 9)
    assert found.untouched is None if training else bool(found.untouched)


def test_a_frozen_normalisation_does_not_count():
    norm = nn.BatchNorm1d(4).eval().requires_grad_(False)
    assert read(norm(nn.Linear(3, 4)(torch.randn(9, 3))).sum()).norms == ()


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_computes_nothing_again(reentrant):
    calls = []

    def part(x):
        calls.append(len(x))
        return F.relu(layer(x))

    layer, x = nn.Linear(4, 4), torch.randn(5, 4, requires_grad=True)
    read(checkpoint(part, x, use_reentrant=reentrant).sum())
    assert calls == [5]


def test_wrapped_tensors_are_left_alone():
    layer = nn.Linear(4, 4)

    def objective(weight):
        loss = F.relu(F.linear(torch.ones(2, 4), weight)).sum()
        assert read(loss).units == ()
        return loss

    torch.func.grad(objective)(layer.weight.detach())
