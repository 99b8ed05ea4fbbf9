"""Likelihoods, deviances and scores of distributions against closed forms, scipy and float64 references."""

import math

import numpy as np
import pytest
import torch
from regression_reference import SAMPLE, best_constant, close, stats_of, tensor
from scipy import integrate, stats

from losscope.losses.regression import crps_gaussian, gamma_deviance, poisson_deviance, tweedie_deviance
from losscope.losses.regression.beta_nll import beta_nll_loss
from losscope.losses.regression.crps_ensemble import crps_ensemble_loss
from losscope.losses.regression.crps_gaussian import crps_gaussian_loss
from losscope.losses.regression.deviance import deviance
from losscope.losses.regression.energy_score import energy_score_loss
from losscope.losses.regression.laplace_nll import laplace_nll_loss
from losscope.losses.regression.mixture_nll import mixture_nll_loss
from losscope.losses.regression.negative_binomial_nll import negative_binomial_nll_loss
from losscope.losses.regression.student_t_nll import student_t_nll_loss
from losscope.losses.spec import LossSpec

RNG = np.random.default_rng(0)


# Likelihoods --------------------------------------------------------------------------------------------------------

MU, Y, S = (torch.as_tensor(RNG.normal(size=40)) for _ in range(3))


def test_likelihoods_are_scipys() -> None:
    mu, y, scale = MU.numpy(), Y.numpy(), np.exp(S.numpy())
    assert close(laplace_nll_loss(MU, Y, S, reduction="none"), -stats.laplace.logpdf(y, mu, scale))
    for df in (1.0, 3.0, 40.0):
        expected = -stats.t.logpdf(y, df, mu, scale)
        assert close(student_t_nll_loss(MU, Y, S, df=df, reduction="none"), expected)
    counts = torch.as_tensor(RNG.poisson(4.0, size=40).astype(float))
    for theta in (0.01, 1.0, 50.0, 150.0, 1e4):
        expected = -stats.nbinom.logpmf(counts.numpy(), theta, theta / (theta + np.exp(mu)))
        seen = negative_binomial_nll_loss(MU, counts, torch.full_like(MU, math.log(theta)), reduction="none")
        assert close(seen, expected, 1e-9), theta


def test_a_negative_binomial_of_no_dispersion_is_a_poisson_even_in_float32() -> None:
    counts = torch.as_tensor(RNG.poisson(4.0, size=40).astype(np.float32))
    for log_theta in (25.0, 1e4):
        seen = negative_binomial_nll_loss(MU.float(), counts, torch.full((40,), log_theta), reduction="none")
        assert close(seen, -stats.poisson.logpmf(counts.numpy(), np.exp(MU.numpy())), 1e-5)


def test_the_textbook_negative_binomial_would_be_caught() -> None:
    y, theta, mu = torch.tensor(5.0), torch.tensor(math.exp(25.0)), torch.tensor(4.0)
    textbook = torch.lgamma(y + 1) + torch.lgamma(theta) - torch.lgamma(y + theta)
    textbook = textbook - theta * (theta / (theta + mu)).log() - y * (mu / (theta + mu)).log()
    assert not close(textbook, -stats.poisson.logpmf(5, 4.0), 1e-3)


def test_a_mixture_of_equal_components_is_a_gaussian_and_a_mixture_is_scipys() -> None:
    logits, mean, log_scale = (torch.as_tensor(RNG.normal(size=(40, 3))) for _ in range(3))
    weights = logits.softmax(-1).numpy()
    densities = stats.norm.pdf(Y.numpy()[:, None], mean.numpy(), np.exp(log_scale.numpy()))
    expected = -np.log((weights * densities).sum(1))
    assert close(mixture_nll_loss(logits, mean, log_scale, Y, reduction="none"), expected)
    # The usual mutant: Σ π_k ln N_k, which is an upper bound.
    assert not close(-(weights * np.log(densities)).sum(1), expected, 1e-2)


def test_beta_nll_is_the_likelihood_at_0_and_the_squared_error_at_1() -> None:
    var = S.exp()
    plain = torch.nn.functional.gaussian_nll_loss(MU, Y, var, reduction="none")
    assert close(beta_nll_loss(MU, Y, var, beta=0.0, reduction="none"), plain)
    x, v = MU.clone().requires_grad_(), var.clone().requires_grad_()
    slope, _ = torch.autograd.grad(beta_nll_loss(x, Y, v, beta=1.0, reduction="sum"), (x, v))
    assert close(slope, MU - Y)
    attached = (v * 0.5 * (v.log() + (x - Y) ** 2 / v)).sum()  # the mutant without detach
    detached = beta_nll_loss(x, Y, v, beta=1.0, reduction="sum")
    assert not close(torch.autograd.grad(attached, v)[0], torch.autograd.grad(detached, v)[0], 1e-2)


# Deviances ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.0, 1.0, 1.2, 1.5, 1.9, 2.0])
def test_deviances_are_the_textbook_ones(power: float) -> None:
    y, mu = np.array([0.0, 1e-3, 0.5, 1.0, 7.0, 300.0]), np.array([0.3, 2.0, 0.5, 3.0, 6.0, 1e3])
    if power == 2:
        y[0] = 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = {
            0.0: (y - mu) ** 2,
            1.0: 2 * (np.where(y > 0, y * np.log(y / mu), 0) - y + mu),
            2.0: 2 * (np.log(mu / y) + y / mu - 1),
        }.get(power)
        if expected is None:
            p = power
            expected = 2 * (
                y ** (2 - p) / ((1 - p) * (2 - p)) - y * mu ** (1 - p) / (1 - p) + mu ** (2 - p) / (2 - p)
            )
    assert close(deviance(torch.as_tensor(np.log(mu)), torch.as_tensor(y), power), expected, 1e-9)


def test_the_tweedie_deviance_is_continuous_in_its_power_where_the_textbook_is_not() -> None:
    z, y = torch.tensor([0.5, 2.0]), torch.tensor([3.0, 1.0])
    for limit, near in ((1.0, 1.0 + 1e-6), (2.0, 2.0 - 1e-6)):
        assert close(deviance(z, y, near), deviance(z, y, limit), 1e-4)
    p, mu = 1.0 + 1e-6, z.exp()
    textbook = 2 * (
        y ** (2 - p) / ((1 - p) * (2 - p)) - y * mu ** (1 - p) / (1 - p) + mu ** (2 - p) / (2 - p)
    )
    assert not close(textbook, deviance(z, y, 1.0), 1e-2)  # all digits are gone in float32


@pytest.mark.parametrize(
    "spec", [poisson_deviance.SPEC, gamma_deviance.SPEC, tweedie_deviance.SPEC], ids=lambda spec: spec.name
)
def test_deviances_elicit_the_mean(spec: LossSpec) -> None:
    n = len(SAMPLE)
    assert spec.function is not None and spec.chance is not None
    best = best_constant(lambda z: spec.function(z.expand(n), SAMPLE), -3.0, 3.0)  # type: ignore[misc]
    assert math.exp(best) == pytest.approx(float(SAMPLE.mean()), rel=1e-6)
    chance = spec.chance(stats_of(SAMPLE.numpy()), {})
    assert chance is not None
    assert chance.value == pytest.approx(float(spec.function(tensor(best).expand(n), SAMPLE)), rel=1e-9)


# Scores of distributions ---------------------------------------------------------------------------------------------


def test_the_crps_of_a_gaussian_is_its_integral() -> None:
    mu, y, sigma = 0.3, 1.1, 0.7
    left = integrate.quad(lambda x: stats.norm.cdf(x, mu, sigma) ** 2, -20, y, epsabs=1e-13)[0]
    right = integrate.quad(lambda x: stats.norm.sf(x, mu, sigma) ** 2, y, 20, epsabs=1e-13)[0]
    seen = crps_gaussian_loss(tensor(mu), tensor(y), tensor(math.log(sigma)))
    assert float(seen) == pytest.approx(left + right, rel=1e-10)
    # The usual mutant forgets the term -1/√π.
    assert float(seen) + sigma / math.sqrt(math.pi) != pytest.approx(left + right, rel=0.1)


def test_the_crps_at_chance_is_sigma_over_root_pi() -> None:
    """Who predicts the marginal N(μ, σ²) of Gaussian targets scores σ/√π, and no constant Gaussian does better."""
    mu, sigma = 2.0, 3.0
    y = torch.as_tensor(stats.norm.ppf((np.arange(20000) + 0.5) / 20000, mu, sigma))
    flat = torch.full_like(y, mu), torch.full_like(y, math.log(sigma))
    assert float(crps_gaussian_loss(flat[0], y, flat[1])) == pytest.approx(
        sigma / math.sqrt(math.pi), rel=1e-3
    )
    chance = crps_gaussian.SPEC.chance
    assert chance is not None
    drawn = RNG.normal(mu, sigma, size=(4000, 2))
    found = chance(stats_of(drawn), {})
    assert found is not None
    assert found.value == pytest.approx(sigma / math.sqrt(math.pi), abs=4 * found.stderr)


def test_the_ensemble_crps_by_sorting_is_the_double_sum() -> None:
    x, y = torch.as_tensor(RNG.normal(size=(9, 6))), torch.as_tensor(RNG.normal(size=9))
    pairs = (x[:, :, None] - x[:, None, :]).abs().sum((1, 2))
    errors = (x - y[:, None]).abs().mean(1)
    assert close(crps_ensemble_loss(x, y, reduction="none"), errors - pairs / (2 * 36))
    assert close(crps_ensemble_loss(x, y, fair=True, reduction="none"), errors - pairs / (2 * 30))
    vectors, points = x[:, :, None], y[:, None]
    assert close(energy_score_loss(vectors, points), crps_ensemble_loss(x, y))


def test_only_the_fair_ensemble_crps_is_unbiased() -> None:
    """Members and targets from N(0, 1): the true CRPS is 1/√π; the standard one is too large by E|x - x'|/(2M)."""
    x, y = torch.as_tensor(RNG.normal(size=(40000, 4))), torch.as_tensor(RNG.normal(size=40000))
    truth = 1 / math.sqrt(math.pi)
    assert float(crps_ensemble_loss(x, y, fair=True)) == pytest.approx(truth, abs=0.01)
    assert float(crps_ensemble_loss(x, y)) == pytest.approx(truth * (1 + 1 / 4), abs=0.01)


def test_the_energy_score_of_coinciding_members_has_a_gradient() -> None:
    x = torch.zeros(2, 3, 2, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(energy_score_loss(x, torch.zeros(2, 2)), x)
    assert torch.equal(slope, torch.zeros_like(slope))
