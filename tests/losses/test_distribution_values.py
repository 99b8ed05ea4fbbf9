"""Divergences and distances of samples against closed forms, scipy and linear programming."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize, spatial, stats
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.distribution.coral import coral_loss
from losscope.losses.distribution.energy_distance import energy_distance_loss
from losscope.losses.distribution.entropy import entropy_loss
from losscope.losses.distribution.gaussian_kl import gaussian_kl_loss
from losscope.losses.distribution.jensen_shannon import jensen_shannon_loss
from losscope.losses.distribution.kl_div import kl_loss
from losscope.losses.distribution.mmd import mmd_loss
from losscope.losses.distribution.reverse_kl import reverse_kl_loss
from losscope.losses.distribution.sinkhorn import sinkhorn_loss
from losscope.losses.distribution.sliced_wasserstein import sliced_wasserstein_loss

RNG = np.random.default_rng(0)
Z, U = (torch.as_tensor(RNG.normal(size=(6, 4))) for _ in range(2))
P, Q = Z.softmax(1).numpy(), U.softmax(1).numpy()


def points(n: int, d: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.as_tensor(np.random.default_rng(seed).normal(size=(n, d)) + shift)


# Of probabilities ----------------------------------------------------------------------------------------------------


def test_divergences_are_scipys() -> None:
    assert np.allclose(kl_loss(Z, U.softmax(1), reduction="none"), stats.entropy(Q, P, axis=1))
    assert np.allclose(reverse_kl_loss(Z, U, reduction="none"), stats.entropy(P, Q, axis=1))
    assert np.allclose(entropy_loss(Z, reduction="none"), stats.entropy(P, axis=1))
    squared = spatial.distance.jensenshannon(P, Q, axis=1) ** 2
    assert np.allclose(jensen_shannon_loss(Z, U, reduction="none"), squared)
    assert not np.allclose(
        0.5 * stats.entropy(P, Q, axis=1) + 0.5 * stats.entropy(Q, P, axis=1), squared
    )  # Jeffreys


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
def test_torchs_mean_would_be_caught() -> None:
    """``F.kl_div(..., reduction="mean")`` divides by the classes too."""
    mutant = torch.nn.functional.kl_div(Z.log_softmax(1), U.softmax(1), reduction="mean")
    assert float(kl_loss(Z, U.softmax(1))) == pytest.approx(4 * float(mutant))


def test_the_jensen_shannon_divergence_is_bounded_by_ln_2() -> None:
    far = torch.tensor([[1e4, 0.0, -1e4]])
    for z in (far, far.half(), torch.tensor([[0.0, -math.inf, -math.inf]])):
        loss = jensen_shannon_loss(z, z.flip(1))
        assert float(loss) == pytest.approx(math.log(2), rel=1e-6)
    x = torch.tensor([[0.0, -math.inf]], requires_grad=True)
    (slope,) = torch.autograd.grad(jensen_shannon_loss(x, torch.tensor([[-math.inf, 0.0]])), x)
    assert torch.isfinite(slope).all()


def test_zero_probabilities_are_no_nan() -> None:
    z = torch.tensor([[0.0, 0.0, -math.inf]], requires_grad=True)
    assert float(entropy_loss(z.detach())) == pytest.approx(math.log(2))
    assert float(reverse_kl_loss(z.detach(), torch.zeros(1, 3))) == pytest.approx(math.log(1.5))
    for loss in (entropy_loss(z), reverse_kl_loss(z, torch.zeros(1, 3))):
        (slope,) = torch.autograd.grad(loss, z)
        assert torch.isfinite(slope).all()
    hard = torch.tensor([[1.0, 0.0, 0.0]])
    assert float(kl_loss(torch.zeros(1, 3), hard)) == pytest.approx(math.log(3))


def test_the_divergence_of_a_gaussian_is_torchs() -> None:
    mean, log_variance = Z, U
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    assert torch.allclose(gaussian_kl_loss(mean, log_variance, reduction="none"), expected)
    whole = gaussian_kl_loss(mean, log_variance, reduction="batchmean")
    assert float(whole) == pytest.approx(float(expected.sum(1).mean()))
    as_deviation = 0.5 * (mean**2 + (2 * log_variance).exp() - 1 - 2 * log_variance)  # ln σ taken for ln σ²
    assert not torch.allclose(as_deviation, expected, rtol=0.1)


# Of samples ----------------------------------------------------------------------------------------------------------


def test_mmd_is_the_double_sum() -> None:
    x, y = points(5, 3, 1), points(7, 3, 2, 0.5)

    def kernel(a: Tensor, b: Tensor, h: float) -> np.ndarray:
        return np.exp(-(spatial.distance.cdist(a, b) ** 2) / (2 * h * h))

    def biased(h: float) -> float:
        return kernel(x, x, h).mean() + kernel(y, y, h).mean() - 2 * kernel(x, y, h).mean()

    assert float(mmd_loss(x, y, bandwidth=1.3)) == pytest.approx(biased(1.3))
    assert float(mmd_loss(x, y, bandwidth=(0.5, 2.0))) == pytest.approx((biased(0.5) + biased(2.0)) / 2)
    k, j = kernel(x, x, 1.0), kernel(y, y, 1.0)
    unbiased = (k.sum() - 5) / 20 + (j.sum() - 7) / 42 - 2 * kernel(x, y, 1.0).mean()
    assert float(mmd_loss(x, y, unbiased=True)) == pytest.approx(unbiased)


def test_only_the_unbiased_mmd_of_equal_distributions_is_zero_on_average() -> None:
    """k = 1 on the diagonal: the biased one is (1 - E k)(1/n + 1/m) too large, with E k = (1 + 2/h²)^(-1/2) in 1-D."""
    values = torch.tensor(
        [
            [float(mmd_loss(points(6, 1, 2 * s), points(6, 1, 2 * s + 1), unbiased=u)) for u in (True, False)]
            for s in range(600)
        ]
    )
    mean, error = values.mean(0), values.std(0) / math.sqrt(600)
    bias = (1 - 1 / math.sqrt(3)) * (1 / 6 + 1 / 6)
    assert abs(float(mean[0])) < 4 * float(error[0])
    assert abs(float(mean[1]) - bias) < 4 * float(error[1])


def test_mmd_of_two_gaussians_is_the_closed_form() -> None:
    """E k(x, y) for x ~ N(0, 1), y ~ N(μ, 1), h = 1 is e^(-μ²/6)/√3."""
    grid = torch.as_tensor(stats.norm.ppf((np.arange(400) + 0.5) / 400))[:, None]
    expected = 2 / math.sqrt(3) * (1 - math.exp(-4 / 6))
    assert float(mmd_loss(grid, grid + 2)) == pytest.approx(expected, rel=1e-2)


def test_the_energy_distance_in_one_dimension_is_scipys() -> None:
    x, y = points(8, 1, 3), points(5, 1, 4, 1.0)
    expected = stats.energy_distance(x[:, 0], y[:, 0]) ** 2
    assert float(energy_distance_loss(x, y)) == pytest.approx(expected, rel=1e-10)
    assert float(energy_distance_loss(x, x)) == pytest.approx(0, abs=1e-14)


def test_coinciding_points_have_finite_gradients() -> None:
    x = torch.zeros(4, 2, requires_grad=True)
    for loss in (energy_distance_loss, sinkhorn_loss, mmd_loss, sliced_wasserstein_loss, coral_loss):
        (slope,) = torch.autograd.grad(loss(x, torch.ones(3, 2)), x)
        assert torch.isfinite(slope).all()
    (slope,) = torch.autograd.grad(sinkhorn_loss(x, torch.ones(3, 2), p=1), x)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("p", [1, 2])
def test_sinkhorn_for_a_small_epsilon_is_the_optimal_matching(p: int) -> None:
    for d in (1, 3):
        x, y = points(8, d, 5), 1.5 * points(8, d, 6, 1.0)
        cost = spatial.distance.cdist(x, y) ** p
        rows, columns = optimize.linear_sum_assignment(cost)
        seen = float(sinkhorn_loss(x, y, p=p, epsilon=1e-3, iterations=400))
        assert seen == pytest.approx(cost[rows, columns].mean(), rel=5e-3)
    one, other = points(8, 1, 5), points(6, 1, 6, 1.0)
    expected = stats.wasserstein_distance(one[:, 0], other[:, 0])
    assert float(sinkhorn_loss(one, other, p=1, epsilon=1e-3, iterations=400)) == pytest.approx(
        expected, rel=1e-2
    )


def test_sinkhorn_is_debiased() -> None:
    """The biased OT_ε of a sample with itself is not 0; the mutant without self-terms would be caught."""
    x = points(8, 2, 7)
    assert float(sinkhorn_loss(x, x, epsilon=1.0)) == pytest.approx(0, abs=1e-10)
    assert float(sinkhorn_loss(x, x[torch.randperm(8)], epsilon=1.0)) == pytest.approx(0, abs=1e-6)
    far = float(sinkhorn_loss(x, x + 1.0, epsilon=1.0))
    assert far == pytest.approx(2.0, rel=1e-4)  # a shift by v costs ‖v‖² for every ε


def test_the_envelope_gradient_of_sinkhorn_is_the_slope_of_its_value() -> None:
    x, y = points(6, 2, 8), points(5, 2, 9, 0.5)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(sinkhorn_loss(leaf, y, epsilon=0.5, iterations=400), leaf)
    way, h = points(6, 2, 10), 1e-5
    ends = [float(sinkhorn_loss(x + s * way, y, epsilon=0.5, iterations=400)) for s in (-h, h)]
    assert float((slope * way).sum()) == pytest.approx((ends[1] - ends[0]) / (2 * h), rel=1e-5)


@pytest.mark.parametrize(("n", "m"), [(7, 7), (7, 4), (3, 8), (6, 4), (1, 5)])
def test_sliced_wasserstein_in_one_dimension_is_exact(n: int, m: int) -> None:
    x, y = points(n, 1, 11), points(m, 1, 12, 0.7)
    expected = stats.wasserstein_distance(x[:, 0], y[:, 0])
    assert float(sliced_wasserstein_loss(x, y, p=1.0)) == pytest.approx(expected, rel=1e-12)
    copies = sliced_wasserstein_loss(
        x.repeat(m, 1), y.repeat(n, 1)
    )  # equal sizes: sorted points face each other
    assert float(sliced_wasserstein_loss(x, y)) == pytest.approx(float(copies), rel=1e-12)


def test_sliced_wasserstein_of_a_shift() -> None:
    """A shift by v costs the mean of (θ·v)², which is ‖v‖²/D over the sphere; random pairing would cost more."""
    x, v = points(50, 3, 13), torch.tensor([1.0, 2.0, -2.0], dtype=torch.float64)
    seen = float(sliced_wasserstein_loss(x, x[torch.randperm(50)] + v, directions=4000))
    assert seen == pytest.approx(9 / 3, rel=0.05)
    axes = torch.eye(3, dtype=torch.float64)
    assert float(sliced_wasserstein_loss(x, x + v, directions=axes)) == pytest.approx(3, rel=1e-12)


def test_coral_compares_covariances_and_not_means() -> None:
    x, y = points(9, 3, 14), 2 * points(6, 3, 15)
    expected = np.square(np.cov(x.numpy().T) - np.cov(y.numpy().T)).sum() / 36
    assert float(coral_loss(x, y)) == pytest.approx(expected, rel=1e-12)
    assert float(coral_loss(x, x + 5.0)) == pytest.approx(0, abs=1e-12)
    population = np.square(np.cov(x.numpy().T, ddof=0) - np.cov(y.numpy().T, ddof=0)).sum() / 36  # the mutant
    assert float(coral_loss(x, y)) != pytest.approx(population, rel=1e-2)


def test_samples_that_cannot_be_compared_are_refused() -> None:
    x = torch.zeros(4, 2)
    for loss in (mmd_loss, energy_distance_loss, sinkhorn_loss, sliced_wasserstein_loss, coral_loss):
        for wrong in (torch.zeros(4, 3), torch.zeros(4), torch.zeros(0, 2)):
            with pytest.raises(BadUsage):
                loss(x, wrong)
    with pytest.raises(BadUsage):
        sinkhorn_loss(x, x, p=3)
