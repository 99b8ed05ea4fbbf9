"""Survival losses against hand-computed tables, explicit sums in float64, and scipy."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import stats

from losscope.core.errors import BadUsage
from losscope.losses.survival.cox import cox_loss
from losscope.losses.survival.logistic_hazard import logistic_hazard_loss
from losscope.losses.survival.weibull import weibull_loss

RNG = np.random.default_rng(0)


def explicit(risk: np.ndarray, times: np.ndarray, events: np.ndarray, ties: str) -> float:
    """The sum of the negative log partial likelihood, written down event time by event time."""
    hazard, total = np.exp(risk), 0.0
    for t in np.unique(times[events > 0]):
        tied = (times == t) & (events > 0)
        at_risk, failing, d = hazard[times >= t].sum(), hazard[tied].sum(), int(tied.sum())
        total -= risk[tied].sum()
        for k in range(d):
            total += math.log(at_risk - (k / d * failing if ties == "efron" else 0.0))
    return total


def case(seed: int, n: int = 25, distinct: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    risk, times = rng.normal(size=n), rng.integers(1, distinct + 1, size=n).astype(float)
    return torch.as_tensor(risk), torch.as_tensor(times), torch.as_tensor((rng.random(n) < 0.6).astype(float))


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("seed", range(6))
def test_cox_is_the_explicit_sum(ties: str, seed: int) -> None:
    r, t, e = case(seed)
    seen = cox_loss(r, t, e, ties=ties, reduction="sum")  # type: ignore[arg-type]
    assert float(seen) == pytest.approx(explicit(r.numpy(), t.numpy(), e.numpy(), ties), rel=1e-12)
    assert float(cox_loss(r, t, e, ties=ties)) == pytest.approx(float(seen) / float(e.sum()), rel=1e-12)  # type: ignore[arg-type]


def test_cox_by_hand() -> None:
    """Five subjects; two tie at time 2, one is censored at time 2 and still at risk there. Hazards 1, 2, 3, 4, 5.

    Time 1: subject 1 of all, 1/15. Time 2: subjects 2 and 3 of {2, 3, 4, 5}: Breslow 2·3/14²,
    Efron 2·3/(14·(14 - 5/2)).
    Time 4: subject 5 alone, 1.
    """
    r = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64).log()
    t, e = torch.tensor([1.0, 2.0, 2.0, 2.0, 4.0]), torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0])
    breslow = -math.log(1 / 15 * 6 / 14**2)
    efron = -math.log(1 / 15 * 6 / (14 * 11.5))
    for order in ([0, 1, 2, 3, 4], [4, 2, 3, 0, 1], [3, 1, 0, 4, 2]):
        rows = r[order], t[order], e[order]
        assert float(cox_loss(*rows, ties="breslow", reduction="sum")) == pytest.approx(breslow, rel=1e-12)
        assert float(cox_loss(*rows, ties="efron", reduction="sum")) == pytest.approx(efron, rel=1e-12)


def test_efron_is_nearer_to_the_exact_marginal_likelihood_of_ties() -> None:
    """The exact one averages over the orders in which the tied events may have happened."""
    hazard = np.array([0.5, 1.0, 2.0, 1.5, 0.7])
    exact = 0.0
    for order in permutations(range(3)):
        left, product = hazard.sum(), 1.0
        for i in order:
            product, left = product * hazard[i] / left, left - hazard[i]
        exact += product
    exact = -math.log(exact / 6)
    r, t = torch.as_tensor(hazard).log(), torch.tensor([1.0, 1.0, 1.0, 2.0, 2.0])
    e = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])
    efron, breslow = (float(cox_loss(r, t, e, ties=ties, reduction="sum")) for ties in ("efron", "breslow"))
    assert abs(efron - exact) < 0.1 * abs(breslow - exact)


def test_a_cumulative_sum_that_ignores_ties_would_be_caught() -> None:
    """The usual mutant: logcumsumexp over sorted times, in which a tied subject misses those sorted behind it."""
    r, t, e = case(1)
    order = t.argsort(descending=True)
    mutant = ((r[order].logcumsumexp(0) - r[order]) * e[order]).sum()
    assert float(mutant) != pytest.approx(explicit(r.numpy(), t.numpy(), e.numpy(), "breslow"), rel=1e-3)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_without_events_cox_is_zero_with_a_zero_gradient(ties: str) -> None:
    for n in (0, 1, 4):
        r = torch.randn(n, requires_grad=True)
        loss = cox_loss(r, torch.ones(n), torch.zeros(n), ties=ties)  # type: ignore[arg-type]
        loss.backward()
        assert float(loss.detach()) == 0
        assert r.grad is not None
        assert not r.grad.any()


def test_cox_at_chance_is_the_log_of_the_risk_sets() -> None:
    t, e = torch.arange(1.0, 6.0), torch.ones(5)
    assert float(cox_loss(torch.zeros(5), t, e, reduction="sum")) == pytest.approx(
        math.log(math.factorial(5))
    )
    assert float(cox_loss(torch.full((5,), 1e4), t, e, reduction="sum")) == pytest.approx(
        math.log(120), rel=1e-3
    )


def test_cox_is_stable_for_large_risks_and_differentiable_twice() -> None:
    r, t, e = case(2)
    large = (1e4 * r).float().requires_grad_()
    for ties in ("breslow", "efron"):
        (slope,) = torch.autograd.grad(cox_loss(large, t, e, ties=ties), large)
        assert torch.isfinite(slope).all()
        assert torch.autograd.gradgradcheck(
            lambda x, ties=ties: cox_loss(x, t[:8], e[:8], ties=ties), r[:8].clone().requires_grad_()
        )
    shifted = cox_loss(r + 300.0, t, e)
    assert float(shifted) == pytest.approx(float(cox_loss(r, t, e)), rel=1e-10)


def test_the_logistic_hazard_is_the_probability_of_its_intervals() -> None:
    z = torch.as_tensor(RNG.normal(size=(6, 4)))
    hazard, k = torch.sigmoid(z).numpy(), np.array([0, 1, 2, 3, 3, 0])
    e = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    expected = []
    for i in range(6):
        survived = np.prod(1 - hazard[i, : k[i]])
        expected.append(-math.log(survived * (hazard[i, k[i]] if e[i] else 1 - hazard[i, k[i]])))
    seen = logistic_hazard_loss(z, torch.as_tensor(k), torch.as_tensor(e), reduction="none")
    assert np.allclose(seen, expected, rtol=1e-12)


def test_the_event_probabilities_of_the_logistic_hazard_sum_to_one() -> None:
    """Of one subject: the event in interval 0 … T - 1, or survival of all. A mutant that censors before k would not."""
    z = torch.as_tensor(RNG.normal(size=(1, 5))).expand(6, 5)
    k, e = torch.tensor([0, 1, 2, 3, 4, 4]), torch.tensor([1.0, 1, 1, 1, 1, 0])
    assert float((-logistic_hazard_loss(z, k, e, reduction="none")).exp().sum()) == pytest.approx(
        1, rel=1e-12
    )


def test_an_interval_out_of_range_raises() -> None:
    for k in (4, -1):
        with pytest.raises((RuntimeError, IndexError)):
            logistic_hazard_loss(torch.zeros(2, 4), torch.tensor([0, k]), torch.ones(2))


def test_weibull_is_scipys() -> None:
    a, log_k = torch.as_tensor(RNG.normal(size=20)), 0.5 * torch.as_tensor(RNG.normal(size=20))
    t, e = torch.as_tensor(RNG.gamma(2.0, size=20)), torch.as_tensor((RNG.random(20) < 0.5).astype(float))
    model = stats.weibull_min(log_k.exp().numpy(), scale=a.exp().numpy())
    expected = -np.where(e > 0, model.logpdf(t.numpy()), model.logsf(t.numpy()))
    assert np.allclose(weibull_loss(a, log_k, t, e, reduction="none"), expected, rtol=1e-10)
    uncensored = weibull_loss(
        a, log_k, t, torch.ones(20), reduction="none"
    )  # the mutant that forgets censoring
    assert not np.allclose(uncensored, expected, rtol=1e-2)


def test_wrong_shapes_are_refused() -> None:
    x = torch.zeros(3)
    for call in (
        lambda: cox_loss(x[:, None], x, x),
        lambda: cox_loss(x, x[:2], x),
        lambda: cox_loss(x, x, x, ties="exact"),  # type: ignore[arg-type]
        lambda: logistic_hazard_loss(x, torch.zeros(3, dtype=torch.long), x),
        lambda: weibull_loss(x, x[:, None], x, x),
    ):
        with pytest.raises(BadUsage):
            call()
