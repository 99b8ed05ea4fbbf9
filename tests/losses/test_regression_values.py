"""Losses of real targets and counts against closed forms, scipy's distributions and independent float64 code."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from regression_reference import SAMPLE, ZERO, D, best_constant, close, stats_of, tensor
from scipy import stats
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses.physics.causal_residual import causal_residual_loss
from losscope.losses.physics.divergence_penalty import divergence_penalty_loss
from losscope.losses.physics.pde_residual import pde_residual_loss
from losscope.losses.regression import mape
from losscope.losses.regression.cauchy import cauchy_loss
from losscope.losses.regression.charbonnier import charbonnier_loss
from losscope.losses.regression.crps_ensemble import crps_ensemble_loss
from losscope.losses.regression.crps_gaussian import crps_gaussian_loss
from losscope.losses.regression.expectile import expectile_loss
from losscope.losses.regression.general_robust import general_robust_loss
from losscope.losses.regression.interval_score import interval_score_loss
from losscope.losses.regression.log_cosh import log_cosh_loss
from losscope.losses.regression.mape import mape_loss
from losscope.losses.regression.msle import msle_loss
from losscope.losses.regression.multi_quantile import multi_quantile_loss
from losscope.losses.regression.quantile import quantile_loss
from losscope.losses.regression.rmse import rmse_loss
from losscope.losses.regression.rmsle import rmsle_loss
from losscope.losses.regression.smape import smape_loss
from losscope.losses.regression.tukey import tukey_loss
from losscope.losses.regression.tweedie_deviance import tweedie_deviance_loss
from losscope.losses.regression.welsch import welsch_loss

RNG = np.random.default_rng(0)


# Robust losses ---------------------------------------------------------------------------------------------------


def test_log_cosh_keeps_its_digits_at_both_ends() -> None:
    expected = np.logaddexp(D.numpy(), -D.numpy()) - math.log(2)
    expected[4] = expected[6] = 0.5e-12  # logaddexp has lost them
    assert close(log_cosh_loss(D, ZERO, reduction="none"), expected)
    half = log_cosh_loss(D.half(), ZERO.half(), reduction="none")
    assert half.dtype == torch.float32
    assert torch.isfinite(half).all()


def test_the_usual_log_cosh_would_be_caught() -> None:
    mutant = torch.log(torch.cosh(D))
    assert not close(mutant, log_cosh_loss(D, ZERO, reduction="none"))


@pytest.mark.parametrize(
    ("alpha", "rho"),
    [
        (2.0, lambda x: x / 2),
        (1.0, lambda x: np.sqrt(x + 1) - 1),
        (0.0, lambda x: np.log1p(x / 2)),
        (-2.0, lambda x: 2 * x / (x + 4)),
        (-math.inf, lambda x: -np.expm1(-x / 2)),
        (0.5, lambda x: 3 * ((x / 1.5 + 1) ** 0.25 - 1)),
        (-1.0, lambda x: -3 * ((x / 3 + 1) ** -0.5 - 1)),
    ],
)
def test_the_general_robust_loss_has_its_special_cases(
    alpha: float, rho: Callable[[np.ndarray], np.ndarray]
) -> None:
    d = tensor(0.0, 0.1, 1.0, 30.0, 1e4)
    scale = 1.7
    expected = rho((d.numpy() / scale) ** 2)
    assert close(
        general_robust_loss(d, torch.zeros_like(d), alpha=alpha, c=scale, reduction="none"), expected
    )
    shapes = torch.full_like(d, alpha)
    assert close(
        general_robust_loss(d, torch.zeros_like(d), alpha=shapes, c=scale, reduction="none"), expected
    )


@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_the_general_robust_loss_is_smooth_through_its_singular_shapes(alpha: float) -> None:
    d = tensor(0.3, 2.0, 50.0)
    near = [general_robust_loss(d, 0 * d, alpha=alpha + h, reduction="none") for h in (-1e-6, 0.0, 1e-6)]
    assert close((near[0] + near[2]) / 2, near[1], 1e-8)
    shape = tensor(alpha).requires_grad_() if alpha == 0 else tensor(alpha - 1e-4).requires_grad_()
    (slope,) = torch.autograd.grad(general_robust_loss(d, 0 * d, alpha=shape), shape)
    h = 1e-6
    ends = [float(general_robust_loss(d, 0 * d, alpha=float(shape.detach()) + s)) for s in (-h, h)]
    assert float(slope) == pytest.approx((ends[1] - ends[0]) / (2 * h), rel=1e-4)


def test_barrons_formula_as_printed_would_be_caught() -> None:
    """0/0 at α = 0 and α = 2."""
    x = D.square()
    for alpha in (0.0, 2.0):
        printed = abs(alpha - 2) / tensor(alpha) * ((x / abs(alpha - 2) + 1) ** (alpha / 2) - 1)
        assert not close(printed, general_robust_loss(D, ZERO, alpha=alpha, reduction="none"))


def test_tukey_and_welsch_level_off_where_they_should() -> None:
    c = 4.685
    assert close(tukey_loss(tensor(c, 2 * c, -1e4), torch.zeros(3), reduction="none"), c * c / 6)
    d = tensor(1.0, -2.0)
    assert close(
        tukey_loss(d, 0 * d, c=c, reduction="none"), c * c / 6 * (1 - (1 - (d.numpy() / c) ** 2) ** 3)
    )
    assert close(welsch_loss(d, 0 * d, c=2.0, reduction="none"), 2 * (1 - np.exp(-(d.numpy() ** 2) / 4)))
    x = tensor(1.0001 * c).requires_grad_()
    (slope,) = torch.autograd.grad(tukey_loss(x, torch.zeros(1)), x)
    assert slope.item() == 0


def test_tukey_and_welsch_have_95_percent_efficiency_at_the_usual_constants() -> None:
    """Asymptotic efficiency (E ψ')² / E ψ² under the standard normal; the constants are published tables."""
    for loss, c in ((tukey_loss, 4.685), (cauchy_loss, 2.385), (welsch_loss, 2.985)):
        grid = torch.linspace(-9, 9, 20001, dtype=torch.float64, requires_grad=True)
        density = torch.exp(-(grid.detach() ** 2) / 2) / math.sqrt(2 * math.pi) * (18 / 20000)
        (psi,) = torch.autograd.grad(
            loss(grid, torch.zeros_like(grid), c=c, reduction="sum"), grid, create_graph=True
        )  # type: ignore[misc]
        (slope,) = torch.autograd.grad(psi.sum(), grid)
        efficiency = float((slope * density).sum() ** 2 / (psi.detach() ** 2 * density).sum())
        assert efficiency == pytest.approx(0.95, abs=1e-3)


def test_charbonnier_is_precise_near_zero_and_far_away() -> None:
    seen = charbonnier_loss(D, ZERO, eps=1.0, reduction="none")
    d = D.numpy()
    assert close(seen, np.where(np.abs(d) < 1e-3, d**2 / 2, np.sqrt(d**2 + 1) - 1), 1e-9)
    assert float(charbonnier_loss(ZERO, ZERO, offset=False)) == pytest.approx(1e-3)


# Quantiles, expectiles, intervals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_quantile_and_expectile_losses_elicit_what_they_say(q: float) -> None:
    n = len(SAMPLE)
    quantile = best_constant(lambda c: quantile_loss(c.expand(n), SAMPLE, quantile=q), 0.0, 20.0)
    assert quantile == pytest.approx(float(np.quantile(SAMPLE, q, method="inverted_cdf")), abs=1e-6)
    expectile = best_constant(lambda c: expectile_loss(c.expand(n), SAMPLE, expectile=q), 0.0, 20.0)
    assert expectile == pytest.approx(stats.expectile(SAMPLE.numpy(), q), abs=1e-6)


def test_exchanged_sides_would_be_caught() -> None:
    """The planted mutant: the quantile of ŷ - y instead of y - ŷ."""
    n = len(SAMPLE)
    swapped = best_constant(lambda c: quantile_loss(-c.expand(n), -SAMPLE, quantile=0.9), 0.0, 20.0)
    assert swapped == pytest.approx(float(np.quantile(SAMPLE, 0.1, method="inverted_cdf")), abs=1e-6)
    assert swapped != pytest.approx(float(np.quantile(SAMPLE, 0.9, method="inverted_cdf")), abs=0.5)


def test_several_quantiles_are_single_ones_and_approach_the_crps() -> None:
    x, y = torch.as_tensor(RNG.normal(size=(7, 3))), torch.as_tensor(RNG.normal(size=7))
    levels = (0.2, 0.5, 0.7)
    together = multi_quantile_loss(x, y, quantiles=levels, reduction="none")
    for k, q in enumerate(levels):
        assert close(together[:, k], quantile_loss(x[:, k], y, quantile=q, reduction="none"))
    grid = tuple((k + 0.5) / 2000 for k in range(2000))
    normal = torch.as_tensor(stats.norm.ppf(grid)).expand(7, -1)
    crps = crps_gaussian_loss(torch.zeros(7), y, torch.zeros(7, dtype=torch.float64))
    assert 2 * float(multi_quantile_loss(normal, y, quantiles=grid)) == pytest.approx(float(crps), rel=1e-3)


def test_the_interval_score_is_two_pinball_losses() -> None:
    low, high, y = (torch.as_tensor(RNG.normal(size=50)) for _ in range(3))
    alpha = 0.2
    pinballs = quantile_loss(low, y, quantile=alpha / 2) + quantile_loss(high, y, quantile=1 - alpha / 2)
    assert close(interval_score_loss(low, high, y, alpha=alpha), 2 / alpha * float(pinballs))


def test_levels_outside_of_zero_and_one_are_refused() -> None:
    x = torch.zeros(3)
    for call in (
        lambda: quantile_loss(x, x, quantile=1.0),
        lambda: expectile_loss(x, x, expectile=0.0),
        lambda: interval_score_loss(x, x, x, alpha=90.0),
        lambda: multi_quantile_loss(x, x, quantiles=(0.1, 0.9)),
        lambda: tweedie_deviance_loss(x, x, power=0.5),
        lambda: crps_ensemble_loss(x[:, None], x, fair=True),
        lambda: rmse_loss(x, x[:, None]),
    ):
        with pytest.raises(BadUsage):
            call()


# Relative errors -----------------------------------------------------------------------------------------------------


def test_relative_errors_elicit_what_their_pages_say() -> None:
    m, s = 0.5, 0.8
    y = torch.as_tensor(np.exp(stats.norm.ppf((np.arange(4000) + 0.5) / 4000, m, s)))
    n = len(y)
    best = best_constant(lambda c: mape_loss(c.expand(n), y), 0.01, 20.0)
    assert best == pytest.approx(math.exp(m - s * s), rel=2e-3)  # and neither the median e^m nor the mean
    msle = best_constant(lambda c: msle_loss(c.expand(n), y), 0.01, 20.0)
    assert msle == pytest.approx(math.expm1(float(y.log1p().mean())), rel=1e-6)
    assert msle < float(y.mean())
    chance = mape.SPEC.chance
    assert chance is not None
    assert chance(stats_of(y.numpy()), {}).value == pytest.approx(
        float(mape_loss(tensor(best).expand(n), y)), rel=1e-6
    )  # type: ignore[union-attr]


def test_smape_is_bounded_blind_at_zero_targets_and_not_symmetric_in_the_error() -> None:
    y = tensor(100.0, 100.0)
    low, high = smape_loss(tensor(50.0, 150.0), y, reduction="none").tolist()
    assert low == pytest.approx(2 / 3)
    assert high == pytest.approx(0.4)
    x = tensor(3.0).requires_grad_()
    (slope,) = torch.autograd.grad(smape_loss(x, tensor(0.0)), x)
    assert slope.item() == 0
    assert float(smape_loss(tensor(0.0), tensor(0.0))) == 0


def test_a_perfect_prediction_has_a_zero_gradient_under_the_root() -> None:
    x = tensor(1.0, 2.0).requires_grad_()
    for loss in (rmse_loss, rmsle_loss):
        (slope,) = torch.autograd.grad(loss(x, x.detach()), x)
        assert torch.equal(slope, torch.zeros_like(slope))
    (mutant,) = torch.autograd.grad(torch.nn.functional.mse_loss(x, x.detach()).sqrt(), x)
    assert mutant.isnan().all()


# Physics -------------------------------------------------------------------------------------------------------------


def test_the_residual_loss_is_zero_for_a_solution_and_sees_a_wrong_start() -> None:
    """u' + u = 0, u(0) = 1: e^-t solves it; 0 solves the equation but not the start."""
    t = torch.linspace(0, 2, 50, dtype=torch.float64)

    def loss(u: Callable[[Tensor], Tensor]) -> float:
        slopes = torch.func.vmap(torch.func.grad(u))(t)
        return float(pde_residual_loss(slopes + u(t), u(t[:1]) - 1))

    assert loss(lambda s: (-s).exp()) == pytest.approx(0, abs=1e-30)
    assert loss(lambda s: 0 * s) == 1.0
    assert float(pde_residual_loss(torch.zeros(0), torch.ones(1))) == 1.0


def test_causal_weights_open_one_slice_after_the_other() -> None:
    r = torch.tensor([[3.0, 1.0], [2.0, 0.0], [1.0, 1.0]], dtype=torch.float64, requires_grad=True)
    slices = np.array([5.0, 2.0, 1.0])
    weights = np.exp(-0.1 * np.array([0.0, 5.0, 7.0]))
    loss = causal_residual_loss(r, tolerance=0.1)
    (slope,) = torch.autograd.grad(loss, r)
    value = float(loss.detach())
    assert value == pytest.approx((weights * slices).mean())
    assert close(slope, (r.detach().numpy() * weights[:, None]) / 3)  # weights are constant
    own = np.exp(-0.1 * np.cumsum(slices))  # the mutant that counts a slice against itself
    assert value != pytest.approx((own * slices).mean(), rel=1e-2)


def test_a_rotation_has_no_divergence_and_a_source_has() -> None:
    points = torch.as_tensor(RNG.normal(size=(5, 2)))

    def jacobians(field: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.func.vmap(torch.func.jacrev(field))(points)

    assert float(divergence_penalty_loss(jacobians(lambda x: torch.stack([-x[1], x[0]])))) == 0
    assert float(divergence_penalty_loss(jacobians(lambda x: 3 * x))) == pytest.approx(36)
