"""Chance levels of losses that are weighted, ignored or averaged by hand, and of targets that no variable holds."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losscope.anatomy.read import read
from losscope.losses.target_stats import TargetStats
from losscope.probes.objective import _bounds

G = torch.Generator().manual_seed(0)
N, K = 4096, 4
Z = torch.randn(N, K, generator=G).requires_grad_()
Y = torch.randint(K, (N,), generator=G)
Y[::3] = -100
KEPT = Y >= 0
WEIGHT = torch.tensor([1.0, 2.0, 3.0, 4.0])
X = torch.randn(N, 8, generator=G)
T = 3 + 2 * torch.randn(N, generator=G)
NET = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 2))


def chance(loss: Tensor) -> float | None:
    (term,) = read(loss).terms
    stats = TargetStats()
    term.observe(stats)
    known = term.chance(stats)
    return None if known is None else term.coefficient * known.value


def best_constant(loss) -> float:
    """The objective at the best scores that are the same for all samples, by LBFGS."""
    scores = torch.zeros(K, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([scores], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(scores.expand(N, K), WEIGHT.double())
        value.backward()
        return value

    optimiser.step(closure)
    return float(closure().detach())


FORMS = {
    "mean": lambda z, w: F.cross_entropy(z, Y, weight=w),
    "sum": lambda z, w: F.cross_entropy(z, Y, weight=w, reduction="sum"),
    "sum over rows": lambda z, w: F.cross_entropy(z, Y, weight=w, reduction="sum") / N,
    "mean of each": lambda z, w: F.cross_entropy(z, Y, weight=w, reduction="none").mean(),
    "over what counts": lambda z, w: F.cross_entropy(z, Y, weight=w, reduction="none").sum() / KEPT.sum(),
    "over weights": lambda z, w: F.cross_entropy(z, Y, weight=w, reduction="none").sum() / w[Y[KEPT]].sum(),
    "unweighted, mean of each": lambda z, w: F.cross_entropy(z, Y, reduction="none").mean(),
    "unweighted, over what counts": lambda z, w: F.cross_entropy(z, Y, reduction="none").sum() / KEPT.sum(),
    "log-probabilities": lambda z, w: F.nll_loss(z.log_softmax(1), Y, weight=w, reduction="sum"),
}


@pytest.mark.parametrize("form", FORMS)
def test_chance_is_that_of_the_whole_expression(form: str) -> None:
    loss = FORMS[form]
    assert chance(loss(Z, WEIGHT)) == pytest.approx(best_constant(loss), rel=2e-3)


def test_one_chance_for_all_forms_would_be_caught() -> None:
    assert best_constant(FORMS["sum"]) > 1.5 * int(KEPT.sum()) * best_constant(FORMS["mean"])
    assert best_constant(FORMS["mean of each"]) > 1.5 * best_constant(FORMS["mean"])


def test_the_floor_of_a_mean_that_counts_ignored_targets_is_no_bound() -> None:
    """The next batch may ignore more, and then the mean is smaller."""
    smoothed = F.cross_entropy(Z, Y, label_smoothing=0.1, reduction="none").mean()
    (term,) = read(smoothed).terms
    entropy = -0.925 * math.log(0.925) - 3 * 0.025 * math.log(0.025)
    assert term.floor == pytest.approx(entropy * float(KEPT.float().mean()), rel=1e-6)
    assert _bounds(term)[0] in (None, 0.0)
    own = F.cross_entropy(Z, Y, label_smoothing=0.1)
    assert _bounds(read(own).terms[0])[0] == pytest.approx(entropy, rel=1e-6)


INLINE = {
    "absolute": (lambda: F.l1_loss(NET(X)[:, 0], T[:]), lambda: (T - T.median()).abs().mean()),
    "squared": (lambda: (NET(X)[:, 0] - T[:]).pow(2).mean(), lambda: (T - T.mean()).square().mean()),
    "the other way round": (lambda: torch.mean((T[:] - NET(X)[:, 1]) ** 2), lambda: T.var(unbiased=False)),
    "a column": (lambda: (NET(X)[:, :1] - T[:, None]).abs().mean(), lambda: (T - T.median()).abs().mean()),
}


@pytest.mark.parametrize("form", INLINE)
def test_a_target_that_only_the_difference_holds_is_told(form: str) -> None:
    loss, expected = INLINE[form]
    assert chance(loss()) == pytest.approx(float(expected()), rel=1e-3)


def test_a_target_that_rounding_hides_is_not() -> None:
    far = NET(X)[:, 0] + 1e7
    assert chance((far - T[:]).abs().mean()) is None
    assert chance((NET(X)[:, 0] - 1.0).pow(2).mean()) is None  # one number for all
