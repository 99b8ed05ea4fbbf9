"""Noise scales: unbiased for the distribution that the data are from, with standard errors that are right."""

import math

import pytest
import torch
import torch.nn.functional as F
from matrices import calibration, unbiased
from torch import nn

import losscope
from losscope.core.errors import BadUsage, NotReadable
from losscope.core.estimate import Estimate
from losscope.estimators.noise.curvature_noise import curvature_noise_scale
from losscope.estimators.noise.gradient_noise_scale import (
    gradient_noise_scale,
    noise_scale_from_norms,
    noise_scale_of_parts,
)
from losscope.estimators.noise.leave_out import noise_and_signal

MEAN = torch.tensor([0.5, -0.3, 0.2], dtype=torch.float64)
SPREAD = torch.tensor([1.0, 0.5, 0.3], dtype=torch.float64)
WEIGHTS = torch.tensor([1.0, 4.0, 0.5], dtype=torch.float64)
NOISE, SIGNAL = float((SPREAD**2).sum()), float((MEAN**2).sum())
HC, GHG = float((WEIGHTS * SPREAD**2).sum()), float((WEIGHTS * MEAN**2).sum())


class Shift(nn.Module):
    """w + 0·x: with ½h(w - t)² the gradient of a sample at w = 0 is -h t, the Hessian diag(h)."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 3, bias=False).double()
        nn.init.zeros_(self.line.weight)

    def forward(self, x):
        return self.line(x)


def weighted(prediction, target):
    """½ Σ_k h_k (f_k - t_k)² with targets in units of the gradient."""
    return (0.5 * WEIGHTS * prediction**2 - prediction * target).sum(1).mean()


def drawn(seed, n=60, batches=1, penalty=None):
    """Per-sample gradients that are -t with t ~ N(MEAN, SPREAD²)."""
    random = torch.Generator().manual_seed(seed)
    t = MEAN + SPREAD * torch.randn(n, 3, generator=random, dtype=torch.float64)
    x = torch.ones(n, 1, dtype=torch.float64)
    data = list(zip(x.chunk(batches), t.chunk(batches), strict=True))
    return losscope.Objective(Shift(), weighted, data, penalty)


def repeated(seeds, make):
    return [make(drawn(seed)) for seed in range(seeds)]


def well(found, seeds):
    wide = 1.3 if seeds < 100 else 1.15
    return all(
        unbiased([getattr(f, name) for f in found], truth)
        and 1 / wide < calibration([getattr(f, name) for f in found], truth) < wide
        for name, truth in (("noise", NOISE), ("signal", SIGNAL))
    )


def test_unbiased_with_the_right_standard_error_quickly():
    assert well(repeated(60, gradient_noise_scale), 60)


@pytest.mark.thorough
def test_unbiased_with_the_right_standard_error():
    assert well(repeated(200, gradient_noise_scale), 200)
    found = [curvature_noise_scale(drawn(seed), parts=20) for seed in range(200)]
    for name, truth in (("noise", HC), ("signal", GHG)):
        estimates = [getattr(f, name) for f in found]
        assert unbiased(estimates, truth) and 0.85 < calibration(estimates, truth) < 1.2
    large = [gradient_noise_scale(drawn(seed, 2000)).scale for seed in range(200)]
    assert 0.85 < calibration(large, NOISE / SIGNAL) < 1.15


def test_the_squared_norm_of_the_mean_gradient_is_rejected():
    """The planted mutant: ‖∇L‖² as it stands is too large by tr(C)/N."""
    objectives = [drawn(seed, 6) for seed in range(80)]
    plain = [Estimate(float(o.gradient().square().sum()), 1.0) for o in objectives]
    assert not unbiased(plain, SIGNAL) and unbiased(plain, SIGNAL + NOISE / 6)


def test_the_jackknife_is_that_of_leaving_out_one_by_one():
    torch.manual_seed(0)
    s, counts = torch.randn(7, 3).double() + 1, torch.tensor([1, 2, 3, 1, 2, 4, 2]).double()

    def ratio(kept):
        g, n = s[kept], counts[kept]
        k, total = g @ g.T, float(n.sum())
        noise = float((k.diagonal() / n).sum() - k.sum() / total) / (len(n) - 1)
        return noise / (float(k.sum()) / total**2 - noise / total)

    everything = list(range(7))
    left = torch.tensor([ratio([j for j in everything if j != i]) for i in everything]).double()
    found = noise_and_signal(s.square().sum(1), (s @ s.T).sum(1), counts)
    assert found.ratio[0] == pytest.approx(ratio(everything))
    assert found.ratio[1] == pytest.approx(math.sqrt(6 / 7 * float((left - left.mean()).square().sum())))
    assert found.ratio[1] != pytest.approx(float(left.std()))  # the spread of one, not the error of the mean


def test_ways_agree():
    """Samples, batches of one, and samples in parts of one, with a penalty that adds no noise."""
    objective = drawn(1, 24, penalty=0.0)
    with torch.no_grad():
        objective.whole.model.line.weight.fill_(0.1)
    one = drawn(1, 24, 24, penalty=0.7)
    many = drawn(1, 24, penalty=0.7)
    for made in (one, many):
        with torch.no_grad():
            made.whole.model.line.weight.fill_(0.1)
    a, b = gradient_noise_scale(many), gradient_noise_scale(one, samples=False)
    for name in ("scale", "noise", "signal"):
        assert getattr(a, name).value == pytest.approx(getattr(b, name).value)
        assert getattr(a, name).stderr == pytest.approx(getattr(b, name).stderr)
    assert a.noise.value == pytest.approx(gradient_noise_scale(objective).noise.value)
    full = curvature_noise_scale(many, parts=24)
    t = many.batches[0].target
    g = 0.1 * WEIGHTS - t + 0.07
    hessian = torch.diag(WEIGHTS + 0.7)
    noise = float((torch.cov(g.T) * hessian).sum())
    assert full.noise.value == pytest.approx(noise)
    assert full.signal.value == pytest.approx(float(g.mean(0) @ hessian @ g.mean(0)) - noise / 24)


def test_from_the_norms_of_two_batch_sizes():
    random = torch.Generator().manual_seed(0)
    g = MEAN + SPREAD * torch.randn(400, 8, 4, 3, generator=random, dtype=torch.float64)
    small, large = g.mean(2).square().sum(-1)[:, 0], g.mean((1, 2)).square().sum(-1)
    found = noise_scale_from_norms(small.tolist(), large.tolist(), 4, 32)
    assert abs(found.noise.value - NOISE) < 3.5 * found.noise.stderr
    assert abs(found.signal.value - SIGNAL) < 3.5 * found.signal.stderr
    assert abs(found.scale.value - NOISE / SIGNAL) < 3.5 * found.scale.stderr < NOISE / SIGNAL
    with pytest.raises(BadUsage, match="two series"):
        noise_scale_from_norms([1.0], [1.0], 4, 32)


def test_batch_statistics_need_batches():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    x, t = torch.randn(40, 3), torch.randn(40, 1)
    with pytest.raises(NotReadable, match="mixes the samples"):
        gradient_noise_scale(losscope.Objective(model, F.mse_loss, (x, t)))
    parts = list(zip(x.chunk(5), t.chunk(5), strict=True))
    found = gradient_noise_scale(losscope.Objective(model, F.mse_loss, parts))
    assert found.parts == 5 and found.noise.value > 0


def test_too_little_data_is_one_line():
    with pytest.raises(BadUsage, match="three samples"):
        gradient_noise_scale(drawn(0, 2))
    with pytest.raises(BadUsage, match="three parts"):
        curvature_noise_scale(drawn(0, 2))
    with pytest.raises(BadUsage, match="three batches"):
        gradient_noise_scale(drawn(0, 20, 2), samples=False)


def test_noise_without_a_signal_has_no_finite_scale():
    x, t = torch.ones(4, 1).double(), torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]).double().expand(4, 3)
    found = gradient_noise_scale(losscope.Objective(Shift(), weighted, (x, t)))
    assert found.scale.value == math.inf and found.signal.value < 0


def test_random_parts_give_the_same_noise_scale():
    """Of as many parts as samples exactly the same; of fewer, unbiased, with errors that hold."""
    for penalty in (None, 0.1):
        objective = drawn(0, penalty=penalty)
        one, other = gradient_noise_scale(objective), noise_scale_of_parts(objective, parts=60)
        assert other.scale.value == pytest.approx(one.scale.value)
        assert other.scale.stderr == pytest.approx(one.scale.stderr)
    assert well(repeated(60, lambda o: noise_scale_of_parts(o, parts=20)), 60)
