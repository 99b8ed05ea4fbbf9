"""Fisher information of three kinds, and the covariance of gradients, against sums over samples and labels."""

import pytest
import torch
import torch.nn.functional as F
from references import function_of, gauss_newton, sample_gradients, small
from torch import nn

import losscope
from losscope.core.errors import BadUsage
from losscope.operators.fisher import Fisher
from losscope.operators.gauss_newton import GaussNewton
from losscope.operators.gradient_covariance import GradientCovariance
from losscope.operators.hessian import Hessian


def data(kind, n=11):
    torch.manual_seed(2)
    x = torch.randn(n, 4).double()
    y = {
        "class": torch.randint(3, (n,)),
        "binary": torch.randint(2, (n, 3)).double(),
        "real": torch.randn(n, 3).double(),
        "counts": torch.poisson(torch.ones(n, 3)).double(),
    }[kind]
    return [(x[:6], y[:6]), (x[6:], y[6:])]


LIKELIHOODS = {
    "class": F.cross_entropy,
    "binary": F.binary_cross_entropy_with_logits,
    "real": F.mse_loss,
    "counts": F.poisson_nll_loss,
}


def close(found, expected, tolerance=1e-11):
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=tolerance)


def test_exact_is_the_expectation_over_the_models_own_labels():
    """The definition: Σ_i Σ_y p(y|x_i) s sᵀ / N, by a loop over labels."""
    model, batches = small(), data("class")
    theta, f = function_of(model)
    total = 0
    for x, _ in batches:
        for row in x:
            p = f(theta, row[None]).softmax(1)[0].detach()
            for label in range(3):
                leaf = theta.clone().requires_grad_()
                (s,) = torch.autograd.grad(F.cross_entropy(f(leaf, row[None]), torch.tensor([label])), leaf)
                total = total + p[label] * s.outer(s) / 11
    close(Fisher(losscope.Objective(model, F.cross_entropy, batches)).dense(), total)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_exact_is_gauss_newton_for_likelihoods_in_natural_parameters(kind):
    objective = losscope.Objective(small(), LIKELIHOODS[kind], data(kind), penalty=0.2)
    expected = gauss_newton(small(), LIKELIHOODS[kind], data(kind))
    close(Fisher(objective, "exact").dense(), expected)
    close(GaussNewton(losscope.Objective(small(), LIKELIHOODS[kind], data(kind))).dense(), expected)


@pytest.mark.parametrize("kind", LIKELIHOODS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_monte_carlo_is_unbiased(kind, reduction):
    """vᵀFv over 80 seeds against the exact value, within three standard errors."""

    def loss(p, y):
        return LIKELIHOODS[kind](p, y, reduction=reduction)

    objective = losscope.Objective(small(), loss, data(kind))
    v = torch.randn(objective.size, generator=torch.Generator().manual_seed(3)).double()
    exact = float(v @ (Fisher(objective) @ v))
    found = torch.tensor([float(v @ (Fisher(objective, "mc", seed=s) @ v)) for s in range(80)])
    assert abs(float(found.mean()) - exact) < 3.5 * float(found.std()) / 80**0.5
    assert float(found.std()) < 2 * exact
    # A plausible mistake, one over the number of all elements twice, would be far away.
    assert abs(float(found.mean()) / 11 - exact) > 3.5 * float(found.std()) / 80**0.5


def test_more_draws_come_closer_and_a_seed_is_one_matrix():
    objective = losscope.Objective(small(), F.cross_entropy, data("class"))
    exact = Fisher(objective).dense()

    def error(draws):
        return (Fisher(objective, "mc", draws=draws, seed=1).dense() - exact).norm()

    assert error(400) < 0.3 * error(1)
    operator = Fisher(objective, "mc", seed=5)
    torch.testing.assert_close(operator.dense(), operator.dense(), rtol=0, atol=0)
    assert not torch.allclose(operator.dense(), Fisher(objective, "mc", seed=6).dense())


def test_empirical_is_the_second_moment_of_gradients():
    model, batches = small(), data("class")
    g = sample_gradients(model, F.cross_entropy, batches)
    found = Fisher(losscope.Objective(model, F.cross_entropy, batches), "empirical").dense()
    close(found, g.T @ g / 11)


def test_empirical_misleads_at_a_good_fit():
    """Labels that are certain: the scores of the data vanish faster than the curvature does."""
    torch.manual_seed(0)
    x = torch.randn(40, 4).double()
    model = small()
    y = model(x).argmax(1)
    with torch.no_grad():
        model[2].weight.mul_(40)
        model[2].bias.mul_(40)
    objective = losscope.Objective(model, F.cross_entropy, (x, y))
    exact, empirical = (float(Fisher(objective, kind).dense().trace()) for kind in ("exact", "empirical"))
    assert empirical < 0.6 * exact
    hessian = float(Hessian(objective).dense().trace())
    assert abs(exact - hessian) < abs(empirical - hessian)


def test_ignored_targets_and_pixels():
    torch.manual_seed(0)
    model = nn.Conv2d(1, 3, 2).double()
    x, y = torch.randn(2, 1, 3, 3).double(), torch.randint(3, (2, 2, 2))
    y[0, 0, 0] = y[1] = -100
    objective = losscope.Objective(model, F.cross_entropy, (x, y))
    close(Fisher(objective).dense(), GaussNewton(objective).dense())
    many = Fisher(objective, "mc", draws=4000).dense()
    assert (many - Fisher(objective).dense()).norm() < 0.1 * many.norm()


def test_what_is_no_likelihood_is_refused_in_one_line():
    batches = data("class")
    for loss in (
        F.multi_margin_loss,
        lambda p, y: F.cross_entropy(p, y) + p.square().mean(),
        lambda p, y: F.cross_entropy(p, y) + F.multi_margin_loss(p, y),
    ):
        with pytest.raises(BadUsage, match="likelihood"):
            Fisher(losscope.Objective(small(), loss, batches))
    with pytest.raises(BadUsage, match="exact, mc or empirical"):
        Fisher(losscope.Objective(small(), F.cross_entropy, batches), "true")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["class", "real"])
@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_covariance_of_gradients(kind, memory):
    model, batches = small(), data(kind)
    g = sample_gradients(model, LIKELIHOODS[kind], batches)
    objective = losscope.Objective(model, LIKELIHOODS[kind], batches, penalty=0.5)
    centred = g - g.mean(0)
    close(GradientCovariance(objective, memory=memory).dense(), centred.T @ centred / 11)
    close(GradientCovariance(objective, centred=False, memory=memory).dense(), g.T @ g / 11)


def test_covariance_of_ignored_and_coupled_samples():
    model = small()
    (x, y), _ = data("class")
    y = y.clone()
    y[2] = -100
    objective = losscope.Objective(model, F.cross_entropy, (x, y))
    mean = GradientCovariance(objective, centred=False).dense() - GradientCovariance(objective).dense()
    g = losscope.Objective(model, F.cross_entropy, (x, y)).gradient()
    close(mean, g.outer(g))  # the mean that is taken off is the gradient of the loss itself


def test_predictions_without_samples_are_refused():
    objective = losscope.Objective(
        nn.Linear(3, 1).double(), lambda p: p.mean().square(), torch.randn(5, 3).double()
    )
    GradientCovariance(objective)
    scalar = losscope.Objective(Scalar(), lambda p: p.square())
    with pytest.raises(BadUsage, match="axis of samples"):
        GradientCovariance(scalar)


class Scalar(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))

    def forward(self):
        return self.w.prod()
