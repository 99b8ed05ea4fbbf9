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


class Words(nn.Module):
    """Predictions of every word, by sequences or in one axis of rows."""

    def __init__(self, flat):
        super().__init__()
        self.embed, self.head, self.flat = nn.Embedding(9, 6), nn.Linear(6, 9), flat

    def forward(self, tokens):
        found = self.head(self.embed(tokens).tanh())
        return found.flatten(0, 1) if self.flat else found.transpose(1, 2)


def test_what_a_noise_scale_counts_is_said():
    """Rows of the predictions where they are the units of per-sample gradients; sequences where these are."""
    torch.manual_seed(0)
    tokens = torch.randint(9, (20, 5))
    whole = losscope.Objective(Words(False), nn.CrossEntropyLoss(), (tokens, tokens.roll(1, 1)))
    rows = losscope.Objective(Words(True), nn.CrossEntropyLoss(), (tokens, tokens.roll(1, 1).flatten()))
    found, of_rows = gradient_noise_scale(whole), gradient_noise_scale(rows)
    assert (found.count, found.each, of_rows.count, of_rows.each) == (20, 1.0, 100, 5.0)
    facts = {fact.name: fact for fact in losscope.examine(rows, 20, only=["noise", "curvature-noise"]).facts}
    assert "5 in a sample" in str(facts["noise-of-rows"].text)
    for name in ("noise-scale", "curvature-noise"):
        assert "rows of the predictions" in str(facts[name].text)
    norm = float(rows.gradient().square().sum())
    expected = 100 * norm / of_rows.noise.value  # 20 with the number of sequences in its place
    assert facts["noise-scale"].figures["gradient to noise"] == pytest.approx(expected, rel=1e-4)
    facts = {fact.name: fact for fact in losscope.examine(whole, 20, only=["noise"]).facts}
    assert "noise-of-rows" not in facts and "samples" in str(facts["noise-scale"].text)
