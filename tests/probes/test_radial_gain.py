"""The radial gain against its closed forms: Euler's theorem for homogeneous functions, and scale invariance."""

import pytest
import torch
from torch.nn import functional

from losscope.probes.probe import Sample
from losscope.probes.radial_gain import PROBE
from losscope.recording import signals


class Sink:
    def __init__(self):
        self.seen = []

    def record(self, signal, label, step, value):
        assert signal is signals.RADIAL_GAIN
        self.seen.append(float(value))


def gain(parameters, loss):
    loss.backward()
    sink = Sink()
    PROBE().gradients(Sample(sink=sink, stream="0", step=0, parameters=parameters))
    return sink.seen


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_a_homogeneous_loss_gives_minus_its_degree_times_its_value(degree):
    weight = torch.nn.Parameter(torch.randn(7, 5, dtype=torch.float64))
    loss = weight.pow(2).sum().pow(degree / 2)
    assert gain([weight], loss) == pytest.approx([-degree * loss.item()])


def test_it_is_zero_behind_a_normalisation_and_biases_do_not_count():
    weight, bias = torch.nn.Parameter(torch.randn(8, 5).double()), torch.nn.Parameter(torch.ones(8).double())
    hidden = functional.layer_norm(torch.randn(64, 5).double() @ weight.T, (8,), eps=0.0) + bias
    assert gain([weight, bias], hidden.exp().mean()) == pytest.approx([0.0], abs=1e-12)


def test_only_vectors_give_nothing():
    bias = torch.nn.Parameter(torch.ones(8))
    assert gain([bias], bias.sum()) == []


def test_a_large_matrix_is_represented_by_an_even_part_of_it():
    weight = torch.nn.Parameter(torch.ones(300, 1000))
    (found,) = gain([weight], 0.5 * weight.pow(2).sum())
    assert found == pytest.approx(-300_000, rel=1e-4)
