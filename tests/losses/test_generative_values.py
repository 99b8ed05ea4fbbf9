"""Losses of generative models: equivalences of parametrisations, closed forms, and an SSIM written out in loops."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from losscope.core.errors import BadUsage
from losscope.losses.generative.denoising_score_matching import denoising_score_matching_loss
from losscope.losses.generative.diffusion import SPEC as DIFFUSION
from losscope.losses.generative.diffusion import DiffusionLoss, diffusion_loss
from losscope.losses.generative.flow_matching import flow_matching_loss, straight_path
from losscope.losses.generative.ssim import SSIMLoss, ssim_loss
from losscope.losses.generative.total_variation import total_variation
from losscope.losses.generative.vae_elbo import VAELoss, elbo_terms, vae_loss
from losscope.losses.target_stats import TargetStats


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gradient(
    loss: Callable[..., Tensor], x: Tensor, *rest: Tensor, **options: object
) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    value = loss(x, *rest, **options)
    (grad,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), grad


# diffusion


class Diffused:
    """One noisy batch, and a guess of x₀ put in all three forms."""

    def __init__(self) -> None:
        self.x0, self.epsilon, guess = normal(6, 2, 3), normal(6, 2, 3, seed=1), normal(6, 2, 3, seed=2)
        angle = torch.linspace(0.1, 1.4, 6, dtype=torch.float64)
        a, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
        self.snr = (angle.cos() / angle.sin()) ** 2
        noisy = a * self.x0 + s * self.epsilon
        noise = (noisy - a * guess) / s
        self.guesses = {"x0": guess, "epsilon": noise, "v": a * noise - s * guess}
        self.targets = {"x0": self.x0, "epsilon": self.epsilon, "v": a * self.epsilon - s * self.x0}

    def loss(self, prediction: str, weighting: str = "plain", **options: float) -> Tensor:
        return diffusion_loss(
            self.guesses[prediction],
            self.targets[prediction],
            self.snr,
            prediction=prediction,
            weighting=weighting,
            reduction="none",
            **options,
        )


def test_the_three_errors_are_the_same_up_to_the_signal_to_noise_ratio() -> None:
    case = Diffused()
    x0 = case.loss("x0")
    torch.testing.assert_close(case.loss("epsilon"), case.snr * x0)
    torch.testing.assert_close(case.loss("v"), (case.snr + 1) * x0)
    torch.testing.assert_close(x0, (case.guesses["x0"] - case.x0).square().mean((1, 2)))


@pytest.mark.parametrize("weighting", ["x0", "epsilon", "v", "min-snr"])
def test_a_weighting_is_the_same_loss_whatever_is_predicted(weighting: str) -> None:
    case = Diffused()
    first = case.loss("x0", weighting)
    torch.testing.assert_close(case.loss("epsilon", weighting), first)
    torch.testing.assert_close(case.loss("v", weighting), first)
    if weighting in case.guesses:
        torch.testing.assert_close(first, case.loss(weighting))


def test_min_snr_weights_of_the_paper() -> None:
    """min(SNR, γ) on x₀, min(SNR, γ)/SNR on ε, min(SNR, γ)/(SNR + 1) on v; and the planted mutant, max."""
    case, gamma = Diffused(), 3.0
    low = case.snr.clamp(max=gamma)
    assert (case.snr > gamma).any()
    assert (case.snr < gamma).any()
    torch.testing.assert_close(case.loss("x0", "min-snr", gamma=gamma), low * case.loss("x0"))
    torch.testing.assert_close(
        case.loss("epsilon", "min-snr", gamma=gamma), low / case.snr * case.loss("epsilon")
    )
    torch.testing.assert_close(case.loss("v", "min-snr", gamma=gamma), low / (case.snr + 1) * case.loss("v"))
    mutant = case.snr.clamp(min=gamma) * case.loss("x0")
    assert (mutant - case.loss("x0", "min-snr", gamma=gamma)).abs().max() > 1e-2


def test_zero_terminal_signal_to_noise() -> None:
    x, t, snr = normal(2, 4), normal(2, 4, seed=1), torch.zeros(2)
    for prediction, weighting in (("epsilon", "min-snr"), ("v", "min-snr"), ("v", "epsilon"), ("x0", "v")):
        value, grad = gradient(diffusion_loss, x, t, snr, prediction=prediction, weighting=weighting)
        assert torch.isfinite(value)
        assert torch.isfinite(grad).all()
    torch.testing.assert_close(DiffusionLoss(weighting="min-snr")(x, t, snr), F.mse_loss(x, t))
    with pytest.raises(BadUsage):
        diffusion_loss(x, t, torch.ones(2, 1))
    with pytest.raises(BadUsage):
        diffusion_loss(x, t, snr, prediction="noise")


def test_chance_of_diffusion_and_of_flow_matching() -> None:
    """The best constant costs the variance of the targets: 1 for ε, Var(data) + 1 for a velocity."""
    noise, data = normal(4000, 3), 2 * normal(4000, 3, seed=1) + 5
    stats = TargetStats()
    stats.update(noise.numpy())
    assert DIFFUSION.chance is not None
    estimate = DIFFUSION.chance(stats, {})
    assert estimate is not None
    constant = noise.mean(0).expand_as(noise)
    assert estimate.value == pytest.approx(float(diffusion_loss(constant, noise, torch.ones(4000))), rel=1e-9)
    assert estimate.value == pytest.approx(1.0, abs=0.05)
    assert DIFFUSION.chance(stats, {"weighting": "min-snr"}) is None
    velocity = (data - noise).mean(0).expand_as(noise)
    best = flow_matching_loss(velocity, noise, data)
    assert float(best) == pytest.approx(float((data - noise).var(0, correction=0).mean()), rel=1e-9)
    assert float(best) == pytest.approx(5.0, rel=0.05)


def test_the_best_velocity_of_a_gaussian_is_linear_in_the_noisy_point() -> None:
    """x₁ ~ N(0, s²): E[x₁ - x₀ | x_t] = x_t (t s² - (1 - t)) / ((1 - t)² + t² s²), and what is left is known."""
    noise, data, t = normal(200_000, 1), 2 * normal(200_000, 1, seed=1), 0.3
    at = straight_path(noise, data, torch.full((200_000,), t, dtype=torch.float64))
    torch.testing.assert_close(at, 0.7 * noise + 0.3 * data)
    spread = (1 - t) ** 2 + t**2 * 4
    slope = (t * 4 - (1 - t)) / spread
    left = 5 - (t * 4 - (1 - t)) ** 2 / spread
    assert float(flow_matching_loss(slope * at, noise, data)) == pytest.approx(left, rel=0.02)
    wrong = flow_matching_loss(slope * at, data, noise)  # the planted mutant: from data to noise
    assert abs(float(wrong) - left) > 0.1


def test_score_matching_is_half_the_noise_error_of_a_sample() -> None:
    s, e, sigma = normal(5, 2, 3), normal(5, 2, 3, seed=1), torch.linspace(0.1, 2, 5, dtype=torch.float64)
    noise_guess = -sigma[:, None, None] * s
    expected = 3.0 * diffusion_loss(noise_guess, e, torch.ones(5), reduction="none")
    found = denoising_score_matching_loss(s, e, sigma, reduction="none")
    torch.testing.assert_close(found, expected)
    bare = denoising_score_matching_loss(s, e, sigma, weighted=False, reduction="none")
    torch.testing.assert_close(bare * sigma**2, found)
    # One-dimensional data N(0, 1): the score of the noisy density is -x/(1 + σ²), and what is left is ½/(1 + σ²).
    x, e = normal(200_000, 1), normal(200_000, 1, seed=3)
    sigma = torch.full((200_000,), 0.5, dtype=torch.float64)
    best = denoising_score_matching_loss(-(x + 0.5 * e) / 1.25, e, sigma)
    assert float(best) == pytest.approx(0.5 / 1.25, rel=0.02)
    with pytest.raises(BadUsage):
        denoising_score_matching_loss(s, e, sigma[:, None])


# variational bounds


def test_elbo_terms_against_torch_distributions() -> None:
    x, t = normal(4, 2, 3), (normal(4, 2, 3, seed=1) > 0).double()
    mean, log_variance = normal(4, 5, seed=2), normal(4, 5, seed=3)
    reconstruction, divergence = elbo_terms(x, t, mean, log_variance)
    bernoulli = torch.distributions.Bernoulli(logits=x).log_prob(t)
    torch.testing.assert_close(reconstruction, -bernoulli.sum((1, 2)))
    posterior = Normal(mean, (log_variance / 2).exp())
    prior = Normal(torch.zeros_like(mean), torch.ones_like(mean))
    torch.testing.assert_close(divergence, kl_divergence(posterior, prior).sum(1))
    gaussian, _ = elbo_terms(x, t, mean, log_variance, likelihood="gaussian", scale=0.3)
    torch.testing.assert_close(gaussian, -Normal(x, 0.3).log_prob(t).sum((1, 2)))
    torch.testing.assert_close(
        VAELoss(beta=4.0)(x, t, mean, log_variance), (reconstruction + 4 * divergence).mean()
    )
    mutant = F.binary_cross_entropy_with_logits(x, t) + divergence.mean()  # a mean against a sum: another β
    assert abs(float(mutant - vae_loss(x, t, mean, log_variance))) > 0.1
    with pytest.raises(BadUsage):
        vae_loss(x, t, mean, log_variance, likelihood="poisson")


def test_the_bound_is_tight_at_the_true_posterior() -> None:
    """z ~ N(0, 1), x|z ~ N(z, s²): with the true posterior the ELBO is ln N(x; 0, 1 + s²), averaged over z."""
    s, x, n = 0.7, 1.3, 100_000
    variance, mean = s**2 / (1 + s**2), x / (1 + s**2)
    z = mean + math.sqrt(variance) * normal(n, 1)
    full = torch.full((n, 1), x, dtype=torch.float64)
    moments = torch.full((n, 1), mean).double(), torch.full((n, 1), math.log(variance)).double()
    bound = vae_loss(z, full, *moments, likelihood="gaussian", scale=s)
    exact = -float(Normal(0.0, math.sqrt(1 + s**2)).log_prob(torch.tensor(x)))
    assert float(bound) == pytest.approx(exact, abs=0.01)


def test_free_bits_cost_at_least_what_is_free_and_have_no_gradient_below() -> None:
    zeros, mean = torch.zeros(2, 3), torch.tensor([[0.1, 2.0], [3.0, 0.0]])
    value, grad = gradient(lambda m: elbo_terms(zeros, zeros, m, torch.zeros(2, 2), free_bits=0.5)[1], mean)
    torch.testing.assert_close(value, torch.tensor([0.5 + 2.0, 4.5 + 0.5]))
    torch.testing.assert_close(grad, torch.tensor([[0.0, 2.0], [3.0, 0.0]]))
    _, plain = elbo_terms(zeros, zeros, torch.zeros(2, 2), torch.tensor([[1e-4, -1e-4], [0.0, 0.0]]))
    assert float(plain[0]) == pytest.approx(5e-9, rel=1e-3)  # small variances do not cancel
    assert float(plain[1]) == 0.0


# images


def test_total_variation_of_a_step_and_a_ramp() -> None:
    step = torch.zeros(1, 1, 4, 6)
    step[..., 3:] = 2.0
    assert float(total_variation(step)) == pytest.approx(4 * 2 / 24)
    assert float(total_variation(step, isotropic=True)) == pytest.approx(4 * 2 / 24)
    corner = torch.tensor([[[[0.0, 3.0], [4.0, 4.0]]]])
    assert float(total_variation(corner, isotropic=True)) == pytest.approx((5 + 1 + 0 + 0) / 4)
    for image in (torch.ones(2, 3, 4, 4), torch.ones(2, 3, 1, 1), torch.ones(0, 3, 4, 4)):
        for isotropic in (False, True):
            value, grad = gradient(total_variation, image, isotropic=isotropic)
            assert float(value) == 0.0
            assert not grad.any()
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    root = (
        (x.diff(dim=2)[..., :1].square() + x.diff(dim=3)[..., :1, :].square()).sqrt().sum()
    )  # the planted mutant
    (grad,) = torch.autograd.grad(root, x)
    assert not torch.isfinite(grad).all()


def ssim_in_loops(x: np.ndarray, y: np.ndarray, window: int = 11, sigma: float = 1.5) -> float:
    """Wang et al., eq. 13 and 14, with weighted moments at every place of the window."""
    line = np.exp(-((np.arange(window) - window // 2) ** 2) / (2 * sigma**2))
    w = np.outer(line, line) / np.outer(line, line).sum()
    found = []
    for i in range(x.shape[0] - window + 1):
        for j in range(x.shape[1] - window + 1):
            a, b = x[i : i + window, j : j + window], y[i : i + window, j : j + window]
            ma, mb = (w * a).sum(), (w * b).sum()
            va, vb, c = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum(), (w * (a - ma) * (b - mb)).sum()
            top = (2 * ma * mb + 1e-4) * (2 * c + 9e-4)
            found.append(top / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    return float(np.mean(found))


@pytest.mark.parametrize("seed", [0, 1])
def test_ssim_against_loops(seed: int) -> None:
    x, y = normal(2, 1, 14, 13, seed=seed).sigmoid(), normal(2, 1, 14, 13, seed=seed + 7).sigmoid()
    expected = [1 - ssim_in_loops(x[i, 0].numpy(), y[i, 0].numpy()) for i in range(2)]
    found = ssim_loss(x, y, reduction="none")
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert float(ssim_loss(255 * x, 255 * y, data_range=255.0)) == pytest.approx(
        float(found.mean()), rel=1e-9
    )
    wrong = ssim_loss(255 * x, 255 * y)  # the planted mutant: the range of the data forgotten
    assert abs(float(wrong - found.mean())) > 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_ssim_of_equal_and_of_constant_images(dtype: torch.dtype) -> None:
    x = normal(2, 3, 12, 16).sigmoid().to(dtype)
    value, grad = gradient(ssim_loss, x, x)
    assert float(value) == 0.0
    assert grad.abs().max() < 1e-6
    for a, b in ((0.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.0, 1.0)):
        value, grad = gradient(ssim_loss, torch.full_like(x, a), torch.full_like(x, b))
        assert torch.isfinite(value)
        assert torch.isfinite(grad).all()
        assert float(value) == pytest.approx(1 - (2 * a * b + 1e-4) / (a * a + b * b + 1e-4), abs=1e-5)
    negative, _ = gradient(SSIMLoss(), x, 1 - x)
    assert 1.0 < float(negative) <= 2.0
    assert float(ssim_loss(x[:0], x[:0])) == 0.0
    with pytest.raises(BadUsage):
        ssim_loss(x[..., :8], x[..., :8])


def test_ssim_keeps_its_variances_in_single_precision() -> None:
    """A faint texture on a bright ground; E[x²] - E[x]² in float32 (the planted mutant) loses it."""
    x, y = 1e-3 * normal(1, 1, 16, 16) + 100, 1e-3 * normal(1, 1, 16, 16, seed=1) + 100
    exact = float(ssim_loss(x, y, data_range=0.01))
    low = ssim_loss(x.float(), y.float(), data_range=0.01)
    assert float(low) == pytest.approx(exact, abs=2e-2)
    w = torch.ones(1, 1, 11, 11) / 121

    def variance(x: Tensor) -> Tensor:
        return F.conv2d(x * x, w.to(x.dtype)) - F.conv2d(x, w.to(x.dtype)).square()

    mutant = variance(x.float()).double()
    assert (mutant - variance(x)).abs().max() > 10 * variance(x).max()
