"""Chance levels and floors against closed forms and against numeric minimisation in float64."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from losscope.losses.catalogue import specs
from losscope.losses.regression.location import fitted_chance
from losscope.losses.target_stats import TargetStats

Loss = Callable[[Tensor, Tensor], Tensor]


def best_constant(loss: Loss, target: Tensor, size: int, start: float = 0.1) -> float:
    """The smallest loss of one prediction for all rows, by LBFGS in float64."""
    constant = torch.full((size,), start, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [constant], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(constant.expand(len(target), size), target)
        value.backward()
        return value

    optimiser.step(closure)
    return float(closure().detach())


def stats_of(target: Tensor, options: Mapping[str, Any]) -> TargetStats:
    stats = TargetStats()
    stats.update(target.numpy(), options)
    return stats


CLASSES = torch.tensor([0] * 50 + [1] * 30 + [2] * 15 + [3] * 5)
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)
SOFT = torch.rand(60, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).softmax(1)
REAL = torch.randn(101, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * torch.tensor(
    [1.0, 2.0, 5.0]
)
BITS = (
    torch.rand(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    < torch.tensor([0.1, 0.5, 0.8])
).double()
COUNTS = torch.poisson(
    3 * torch.ones(100, 2, dtype=torch.float64), generator=torch.Generator().manual_seed(4)
)

CASES: dict[str, tuple[str, dict[str, Any], Loss, Tensor, int, float]] = {
    "smoothed": ("cross_entropy", {"label_smoothing": 0.1, "num_classes": 4},
                 lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1), CLASSES, 4, 0.1),
    "weighted": ("cross_entropy", {"weight": WEIGHT.tolist(), "num_classes": 4, "label_smoothing": 1e-12},
                 lambda z, y: F.cross_entropy(z, y, weight=WEIGHT), CLASSES, 4, 0.1),
    "weighted-smoothed": ("cross_entropy", {"weight": WEIGHT.tolist(), "num_classes": 4, "label_smoothing": 0.2},
                          lambda z, y: F.cross_entropy(z, y, weight=WEIGHT, label_smoothing=0.2), CLASSES, 4, 0.1),
    "soft": ("cross_entropy", {"target": "distribution"}, F.cross_entropy, SOFT, 4, 0.1),
    "kl": ("kl_div", {"target": "distribution"},
           lambda z, t: F.kl_div(z.log_softmax(1), t, reduction="batchmean"), SOFT, 4, 0.1),
    "bce": ("binary_cross_entropy_with_logits", {"target": "binary"}, F.binary_cross_entropy_with_logits, BITS, 3, 0.1),
    "bce-pos-weight": ("binary_cross_entropy_with_logits", {"target": "binary", "pos_weight": [3.0, 0.5, 2.0]},
                       lambda z, t: F.binary_cross_entropy_with_logits(
                           z, t, pos_weight=torch.tensor([3.0, 0.5, 2.0], dtype=torch.float64)), BITS, 3, 0.1),
    "multi-label": ("multilabel_soft_margin", {"target": "binary"}, F.multilabel_soft_margin_loss, BITS, 3, 0.1),
    "soft-margin": ("soft_margin", {"target": "real"}, F.soft_margin_loss, BITS * 2 - 1, 3, 0.1),
    "mse": ("mse", {"target": "real"}, F.mse_loss, REAL, 3, 0.1),
    "l1": ("l1", {"target": "real"}, lambda z, t: (z - t).abs().add(1e-12).mean(), REAL, 3, 0.1),
    "huber": ("huber", {"target": "real", "delta": 0.7}, lambda z, t: F.huber_loss(z, t, delta=0.7), REAL, 3, 0.1),
    "smooth-l1": ("smooth_l1", {"target": "real", "beta": 2.0},
                  lambda z, t: F.smooth_l1_loss(z, t, beta=2.0), REAL, 3, 0.1),
    "log-cosh": ("log_cosh", {"target": "real"}, lambda z, t: (z - t).cosh().log().mean(), REAL, 3, 0.1),
    "poisson": ("poisson_nll", {"target": "real"}, F.poisson_nll_loss, COUNTS, 2, 0.1),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_chance_is_the_loss_of_the_best_constant(case: str) -> None:
    name, options, loss, target, size, start = CASES[case]
    estimate = specs()[name].chance(stats_of(target, options), options)  # type: ignore[misc]
    assert estimate is not None
    reached = best_constant(loss, target, size, start)
    # LBFGS stops early at the kinks of |d|; it can only be above the true minimum.
    assert estimate.value == pytest.approx(reached, rel=2e-4 if case == "l1" else 1e-6)
    assert estimate.stderr > 0


@pytest.mark.parametrize(
    "case", ["smoothed", "soft", "kl", "bce", "soft-margin", "mse", "l1", "huber", "poisson"]
)
def test_the_standard_error_is_the_spread_over_samples(case: str) -> None:
    """Draw rows anew 300 times: the estimates scatter as each of them says, within 25 %."""
    name, options, _, target, *_ = CASES[case]
    chance = specs()[name].chance
    assert chance is not None
    rng = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(300):
        rows = torch.as_tensor(rng.integers(len(target), size=400))
        estimate = chance(stats_of(target[rows], options), options)
        assert estimate is not None
        values.append(estimate.value)
        errors.append(estimate.stderr)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.25)


def test_a_wrong_chance_level_would_be_caught() -> None:
    """The planted mutant: entropy without the smoothing, and total instead of column variance."""
    smoothed = specs()["cross_entropy"].chance
    assert smoothed is not None
    plain = smoothed(stats_of(CLASSES, {}), {"num_classes": 4})
    reached = best_constant(lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1), CLASSES, 4)
    assert plain is not None
    assert abs(plain.value - reached) > 1e-2
    pooled = float(REAL.var(unbiased=False))
    assert abs(pooled - best_constant(F.mse_loss, REAL, 3)) > 1e-3


@pytest.mark.parametrize(("name", "worst"), [("welsch", 0.5), ("tukey", 4.685**2 / 6)])
def test_of_two_heaps_of_targets_a_robust_loss_takes_the_larger(name: str, worst: float) -> None:
    """A loss that forgets far targets has a minimum at each heap: 600 of 1000 at -20, the others at 30."""
    noise = 0.01 * torch.randn(1000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    heaps = noise + torch.where(torch.arange(1000)[:, None] % 5 < 3, -20.0, 30.0)
    estimate = specs()[name].chance(stats_of(heaps, {"target": "real"}), {})  # type: ignore[misc]
    assert estimate is not None
    assert estimate.value == pytest.approx(0.4 * worst, rel=1e-3)
    mutant = fitted_chance(lambda d: -0.5 * np.expm1(-d * d), stats_of(heaps, {"target": "real"}))
    assert mutant is not None and mutant.value > 1.4 * 0.4 * 0.5  # taken for convex: the smaller heap


def test_gaussian_nll_chance() -> None:
    target = REAL[:, :1]
    mean, log_variance = (
        torch.zeros(1, dtype=torch.float64, requires_grad=True),
        torch.zeros(1, dtype=torch.float64, requires_grad=True),
    )
    optimiser = torch.optim.LBFGS([mean, log_variance], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = F.gaussian_nll_loss(
            mean.expand(len(target), 1), target, log_variance.exp().expand(len(target), 1)
        )
        value.backward()
        return value

    optimiser.step(closure)
    estimate = specs()["gaussian_nll"].chance(stats_of(target, {"target": "real"}), {})  # type: ignore[misc]
    assert estimate is not None
    assert estimate.value == pytest.approx(float(closure().detach()), rel=1e-6)


def test_miller_madow_removes_the_bias_of_the_plug_in_entropy() -> None:
    """Uniform labels over 10 classes, 40 at a time: the plug-in entropy is 0.11 nats too small on average."""
    rng = np.random.default_rng(0)
    corrected, plug_in = [], []
    for _ in range(400):
        stats = TargetStats()
        stats.update(rng.integers(10, size=40))
        estimate = specs()["cross_entropy"].chance(stats, {"num_classes": 1000})  # type: ignore[misc]
        assert estimate is not None
        corrected.append(estimate.value)
        p = stats.class_weight[stats.class_weight > 0] / 40
        plug_in.append(float(-(p * np.log(p)).sum()))
    assert abs(np.mean(corrected) - math.log(10)) < 0.02
    assert abs(np.mean(plug_in) - math.log(10)) > 0.08


def test_closed_form_floors() -> None:
    floor = specs()["cross_entropy"].floor
    assert floor is not None
    assert floor({"num_classes": 10, "label_smoothing": 0.1}, None) == pytest.approx(0.5002880, abs=5e-8)
    e = math.e
    assert floor({"num_classes": 10, "double_softmax": True}, None) == pytest.approx(
        -math.log(e / (e + 9)), rel=1e-12
    )
    assert floor({"num_classes": 10, "double_softmax": True}, None) == pytest.approx(1.4612, abs=5e-5)
    assert floor({"num_classes": 10}, None) == 0.0


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("double", [False, True])
def test_floor_is_reached_and_not_passed_by_free_predictions(smoothing: float, double: bool) -> None:
    """Minimise over one prediction per row; a second softmax is minimised over the first one's scores."""
    target = torch.arange(6) % 4
    free = torch.zeros(6, 4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [free], max_iter=2000, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(free.softmax(1) if double else free, target, label_smoothing=smoothing)
        value.backward()
        return value

    optimiser.step(closure)
    options = {"num_classes": 4, "label_smoothing": smoothing, "double_softmax": double}
    floor = specs()["cross_entropy"].floor(options, None)  # type: ignore[misc]
    assert floor == pytest.approx(float(closure().detach()), abs=2e-5)


def test_floors_of_soft_targets() -> None:
    options = {"target": "distribution"}
    floor = specs()["cross_entropy"].floor(options, stats_of(SOFT, options))  # type: ignore[misc]
    assert floor == pytest.approx(float(-(SOFT * SOFT.log()).sum(1).mean()), rel=1e-9)
    soft_bits = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    floor = specs()["binary_cross_entropy"].floor({}, stats_of(soft_bits, {"target": "binary"}))  # type: ignore[misc]
    assert floor == pytest.approx(float(F.binary_cross_entropy(soft_bits, soft_bits)), rel=1e-9)
    double = specs()["binary_cross_entropy_with_logits"].floor(
        {"double_sigmoid": True}, stats_of(BITS, {"target": "binary"})
    )  # type: ignore[misc]
    assert double == pytest.approx(float(F.binary_cross_entropy_with_logits(BITS, BITS)), rel=1e-9)
    counts = specs()["poisson_nll"].floor({}, stats_of(COUNTS, {"target": "real"}))  # type: ignore[misc]
    best = F.poisson_nll_loss(COUNTS, COUNTS, log_input=False, eps=1e-300)
    assert counts == pytest.approx(float(best), rel=1e-9)


@given(counts=st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(lambda c: sum(c) > 0))
def test_class_chance_lies_between_nothing_and_log_k(counts: list[int]) -> None:
    stats = TargetStats()
    stats.update(np.repeat(np.arange(len(counts)), counts))
    estimate = specs()["cross_entropy"].chance(stats, {"num_classes": len(counts)})  # type: ignore[misc]
    assert estimate is not None
    assert -1e-12 <= estimate.value <= math.log(len(counts)) + 1e-12


def test_no_targets_no_chance() -> None:
    same_for_all_targets = {"pairwise_logistic", "margin_ranking", "kto", "batch_hard_triplet"}
    for spec in specs().values():
        judged = any(argument.role == "target" for argument in spec.arguments) or not spec.arguments
        if spec.chance is not None and judged and spec.name not in same_for_all_targets:
            assert spec.chance(TargetStats(), {}) is None
