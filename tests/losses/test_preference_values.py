"""Preference losses: values at the start of training, floors, references held constant, stable odds."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import logit
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.losses import get
from losscope.losses.preference.dpo import dpo_loss
from losscope.losses.preference.ipo import ipo_loss
from losscope.losses.preference.kto import kto_loss
from losscope.losses.preference.log_ratios import log1mexp
from losscope.losses.preference.orpo import orpo_loss
from losscope.losses.preference.reward_model import reward_model_loss
from losscope.losses.preference.simpo import simpo_loss
from losscope.losses.ranking.pairwise_logistic import pairwise_logistic_loss
from losscope.losses.target_stats import TargetStats


def likelihoods(n: int = 8, seed: int = 0, scale: float = 20.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return -scale * torch.rand(n, dtype=torch.float64, generator=generator)


C, R, RC, RR = (likelihoods(seed=s) for s in range(4))


def close(value: Tensor, expected: float | Tensor, rel: float = 1e-9) -> None:
    assert float(value) == pytest.approx(float(expected), rel=rel, abs=1e-12)


def chance_of(name: str, **options: float) -> float:
    chance = get(name).chance
    assert chance is not None
    found = chance(TargetStats(), options)
    assert found is not None
    return found.value


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0])
def test_dpo_starts_at_ln_2_whatever_its_options(beta: float, smoothing: float) -> None:
    close(dpo_loss(C, R, C, R, beta=beta, label_smoothing=smoothing), math.log(2))
    assert chance_of("dpo", beta=beta, label_smoothing=smoothing) == pytest.approx(math.log(2))


def test_dpo_is_the_logistic_loss_of_implicit_rewards() -> None:
    h = 0.1 * ((C - RC) - (R - RR))
    right = -torch.log(torch.sigmoid(h)).mean()
    close(dpo_loss(C, R, RC, RR), right)
    close(pairwise_logistic_loss(0.1 * (C - RC), 0.1 * (R - RR)), right)
    mutant = dpo_loss(C, R, RR, RC)  # the references exchanged
    assert abs(float(mutant - right)) > 1e-2


@pytest.mark.parametrize("epsilon", [0.05, 0.2])
def test_conservative_dpo_has_the_binary_entropy_as_its_floor(epsilon: float) -> None:
    h = 0.1 * ((C - RC) - (R - RR))
    right = -(1 - epsilon) * F.logsigmoid(h) - epsilon * F.logsigmoid(-h)
    close(dpo_loss(C, R, RC, RR, label_smoothing=epsilon), right.mean())
    floor = get("dpo").floor
    assert floor is not None
    entropy = -epsilon * math.log(epsilon) - (1 - epsilon) * math.log(1 - epsilon)
    assert floor({"label_smoothing": epsilon}, None) == pytest.approx(entropy)
    zero = torch.zeros(1, dtype=torch.float64)
    best = zero + math.log((1 - epsilon) / epsilon) / 0.1
    close(dpo_loss(best - 100, zero - 100, zero, zero, label_smoothing=epsilon), entropy)
    for shift in (-1.0, 1.0):
        assert float(dpo_loss(best + shift, zero, zero, zero, label_smoothing=epsilon)) > entropy


def test_dpo_of_impossible_answers() -> None:
    """The reference calls the chosen answer impossible: an infinite reward, a loss of 0, a gradient of 0."""
    chosen = torch.tensor([-5.0], requires_grad=True)
    value = dpo_loss(chosen, torch.tensor([-5.0]), torch.tensor([-math.inf]), torch.tensor([-5.0]))
    value.backward()
    assert float(value.detach()) == 0.0
    assert chosen.grad is not None and chosen.grad.tolist() == [0.0]


def test_ipo_aims_at_a_finite_margin() -> None:
    close(ipo_loss(C, R, C, R, beta=0.2), 1 / (4 * 0.2**2))
    assert chance_of("ipo", beta=0.2) == pytest.approx(6.25)
    h = (C - RC) - (R - RR)
    close(ipo_loss(C, R, RC, RR, beta=0.2), ((h - 2.5) ** 2).mean())
    close(ipo_loss(RC + 2.5, RR, RC, RR, beta=0.2), 0.0)
    assert abs(float(((0.2 * h - 2.5) ** 2).mean() - ipo_loss(C, R, RC, RR, beta=0.2))) > 1  # β in h as well


def test_kto_against_a_reference_point_without_gradient() -> None:
    good = torch.tensor([1.0, 0.0] * 4, dtype=torch.float64)
    close(kto_loss(C, C, good, R, R), 0.5)
    z0 = max(0.0, float((R - RR).mean()))
    v = [
        1 - 1 / (1 + math.exp(-(0.1 if g else -0.1) * (float(r) - z0)))
        for r, g in zip(C - RC, good.tolist(), strict=True)
    ]
    close(kto_loss(C, RC, good, R, RR), sum(v) / 8)
    weighted = kto_loss(C, RC, good, R, RR, desirable_weight=2.0, undesirable_weight=0.5)
    close(weighted, sum(x * (2 if g else 0.5) for x, g in zip(v, good.tolist(), strict=True)) / 8)
    mismatched = R.clone().requires_grad_()
    policy = C.clone().requires_grad_()
    value = kto_loss(policy, RC, good, mismatched, RR - 30)
    found = torch.autograd.grad(value, (policy, mismatched), allow_unused=True)
    assert found[0] is not None
    assert found[1] is None  # with a gradient here the policy would be paid for a small KL
    negative = kto_loss(C, RC, good, R - 100, RR)
    close(negative, kto_loss(C, RC, good, RR, RR))  # the reference point is never below 0


def test_simpo_starts_above_ln_2() -> None:
    close(simpo_loss(C, C), math.log(1 + math.e))
    assert chance_of("simpo") == pytest.approx(math.log(1 + math.e))
    right = -F.logsigmoid(2 * (C - R) - 1).mean()
    close(simpo_loss(C, R), right)
    assert abs(float(-F.logsigmoid(2 * (C - R - 1)).mean() - right)) > 1e-3  # β times the margin


def test_orpo_odds() -> None:
    c, r = likelihoods(scale=2.0), likelihoods(seed=1, scale=2.0)
    log_odds = [torch.as_tensor(logit(x.exp().numpy())) for x in (c, r)]
    right = -c + 0.1 * F.softplus(-(log_odds[0] - log_odds[1]))
    close(orpo_loss(c, r), right.mean())
    without = -c + 0.1 * F.softplus(-(c - r))  # the mutant: a ratio of likelihoods instead of odds
    assert abs(float(without.mean() - right.mean())) > 1e-3
    close(orpo_loss(c, c) + c.mean(), 0.1 * math.log(2))


def test_log1mexp_keeps_its_digits_at_both_ends() -> None:
    x = np.array([-1e-10, -1e-3, -0.5, -math.log(2), -1.0, -30.0])
    exact = [-23.025850929990458, -6.9082554, -0.9327521, -0.6931472, -0.4586751, -9.3576230e-14]
    found = log1mexp(torch.as_tensor(x)).tolist()
    assert found == pytest.approx(exact, rel=1e-6)
    naive = math.log(1 - math.exp(-1e-17)) if math.exp(-1e-17) < 1 else -math.inf
    assert naive == -math.inf
    for dtype in (torch.float32, torch.float64):
        edge = torch.tensor([0.0, -1e-30, -1e4], dtype=dtype, requires_grad=True)
        value = log1mexp(edge)
        value.sum().backward()
        assert bool(value.isfinite().all())
        assert edge.grad is not None and bool(edge.grad.isfinite().all())


def test_a_reward_model_at_chance_and_without_extras() -> None:
    zero = torch.zeros(4, dtype=torch.float64)
    close(reward_model_loss(zero, zero), math.log(2))
    assert chance_of("reward_model") == pytest.approx(math.log(2))
    close(reward_model_loss(C, R, centre=0.0), pairwise_logistic_loss(C, R))
    right = (F.softplus(1.5 - (C - R)) + 0.02 * (C + R) ** 2).mean()
    close(reward_model_loss(C, R, margin=1.5, centre=0.02), right)
    shifted = reward_model_loss(C + 7, R + 7, centre=0.0)
    close(shifted, reward_model_loss(C, R, centre=0.0))  # unknown up to a constant, hence the centring
    assert float(reward_model_loss(C + 7, R + 7)) != pytest.approx(float(reward_model_loss(C, R)))


@pytest.mark.parametrize("loss", [dpo_loss, ipo_loss])
def test_columns_against_rows_are_refused(loss) -> None:
    with pytest.raises(BadUsage, match="same shape"):
        loss(C, R, RC[:, None], RR)
