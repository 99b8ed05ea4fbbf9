"""Where samples meet in batch normalisation, the noise is that of batches, or it is not said; never that of samples."""

import pytest
import torch
from torch import nn

import losscope
from losscope.estimators.noise.gradient_noise_scale import gradient_noise_scale, noise_scale_of_parts
from losscope.examination.numbers import count


def normalised(batches, training=True):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).train(training)
    x = torch.randn(200, 4)
    data = list(zip(x.chunk(batches), (x[:, 0] > 0).long().chunk(batches), strict=True))
    return losscope.Objective(model, nn.CrossEntropyLoss(), data)


def test_one_batch_says_nothing_of_its_noise():
    found = losscope.examine(normalised(1), 20, only=["noise", "curvature-noise"])
    assert found["gradient-norm"] and "noise-scale" not in {fact.name for fact in found.facts}
    assert any("mixes the samples" in str(reason) for reason in found.left_out)
    assert "batches of other samples differ by more" in str(found["samples-meet"].text)


def test_batches_say_what_the_estimator_says():
    objective = normalised(8)
    fact = losscope.examine(objective, 20, only=["noise"])["noise-scale"]
    assert fact.figures["parts"] == 8
    assert fact.value.value == pytest.approx(gradient_noise_scale(objective).scale.value)


def test_in_evaluation_mode_it_is_that_of_samples():
    found = losscope.examine(normalised(1, training=False), 20, only=["noise", "curvature-noise"])
    assert found["noise-scale"].figures["parts"] == 200
    assert "samples-meet" not in {fact.name for fact in found.facts}


class Squared(nn.Module):
    """A parameter that enters by its square: layers do not show that."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, 1))

    def forward(self, x):
        return x @ self.w.square().tanh()


def test_a_network_without_layers_goes_by_parts():
    torch.manual_seed(0)
    objective = losscope.Objective(Squared(), nn.MSELoss(), (torch.randn(90, 3), torch.randn(90, 1)))
    fact = losscope.examine(objective, 20, only=["noise"])["noise-scale"]
    assert fact.figures["parts"] == 16
    assert fact.figures["trace of covariance"] == pytest.approx(noise_scale_of_parts(objective).noise.value)


def test_large_counts_are_short():
    assert (count(23_976_305_358_769_186_261_958_907_658_240.0), count(54321.0)) == ("2.4e+31", "54,321")
