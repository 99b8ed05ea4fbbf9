"""Losses of games and of reinforcement: values at the equilibrium, best responses, penalties differentiated twice."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losscope.core.errors import BadUsage
from losscope.losses import all as all_losses
from losscope.losses import get
from losscope.losses.adversarial.gan_discriminator import gan_discriminator_loss
from losscope.losses.adversarial.gradient_penalty import gradient_penalty, interpolated_gradient
from losscope.losses.adversarial.hinge_discriminator import hinge_discriminator_loss
from losscope.losses.adversarial.least_squares_discriminator import least_squares_discriminator_loss
from losscope.losses.adversarial.least_squares_generator import least_squares_generator_loss
from losscope.losses.adversarial.logistic_score import logistic_score_loss
from losscope.losses.adversarial.mean_score import mean_score_loss
from losscope.losses.adversarial.r1_penalty import input_gradient, r1_penalty
from losscope.losses.adversarial.relativistic_gan import relativistic_gan_loss
from losscope.losses.adversarial.wasserstein_critic import wasserstein_critic_loss
from losscope.losses.reinforcement.clipped_value import clipped_value_loss
from losscope.losses.reinforcement.grpo import group_advantages, grpo_loss
from losscope.losses.reinforcement.policy_gradient import policy_gradient_loss
from losscope.losses.reinforcement.ppo_clip import ppo_clip_loss

ZEROS = torch.zeros(6, dtype=torch.float64)
P = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
Q = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(value: Tensor, expected: float | Tensor, rel: float = 1e-9) -> None:
    assert float(value) == pytest.approx(float(expected), rel=rel, abs=1e-12)


def test_no_game_and_no_surrogate_counts_as_progress() -> None:
    names = {s.name for s in all_losses().values() if s.family in ("adversarial", "reinforcement")}
    assert len(names) >= 14
    assert not any(get(name).value_is_progress for name in names)


def test_the_discriminator_at_the_equilibrium() -> None:
    """The sum of both halves is ln 4 = 2 ln 2, their mean ln 2."""
    close(gan_discriminator_loss(ZEROS, ZEROS), math.log(4))
    both = torch.cat([ZEROS, ZEROS])
    labels = torch.cat([torch.ones(6), torch.zeros(6)]).double()
    mean = F.binary_cross_entropy_with_logits(both, labels)
    close(mean, math.log(2))
    close(gan_discriminator_loss(ZEROS, ZEROS) / 2, mean)
    close(logistic_score_loss(ZEROS), math.log(2))
    close(logistic_score_loss(ZEROS, real=False), math.log(2))
    close(logistic_score_loss(ZEROS, saturating=True), -math.log(2))
    close(hinge_discriminator_loss(ZEROS, ZEROS), 2.0)
    close(least_squares_discriminator_loss(ZEROS + 0.5, ZEROS + 0.5), 0.25)
    close(least_squares_generator_loss(ZEROS + 0.5), 0.125)
    close(wasserstein_critic_loss(ZEROS + 3, ZEROS + 3), 0.0)
    close(relativistic_gan_loss(ZEROS + 3, ZEROS + 3), math.log(4))
    close(relativistic_gan_loss(ZEROS + 3, ZEROS + 3, average=False), math.log(2))


def expected(loss, scores: Tensor) -> Tensor:
    """Expectation over real samples from P and generated ones from Q, by the losses of single samples."""
    none = loss(scores, scores.new_zeros(4), reduction="none") - loss(ZEROS[:4], ZEROS[:4], reduction="none")
    fake = loss(scores.new_zeros(4), scores, reduction="none") - loss(ZEROS[:4], ZEROS[:4], reduction="none")
    return (P * none + Q * fake).sum() + loss(ZEROS[:1], ZEROS[:1])


def test_the_best_discriminator_reaches_ln_4_minus_2_js() -> None:
    m = (P + Q) / 2
    js = 0.5 * (P * (P / m).log()).sum() + 0.5 * (Q * (Q / m).log()).sum()
    best = expected(gan_discriminator_loss, (P / Q).log())
    close(best, math.log(4) - 2 * js)
    pearson = expected(least_squares_discriminator_loss, P / (P + Q))
    close(pearson, 0.5 * (P * Q / (P + Q)).sum())
    for seed in range(10):
        assert float(expected(gan_discriminator_loss, (P / Q).log() + 0.3 * normal(4, seed=seed))) > float(
            best
        )


def test_halves_of_different_sizes_weigh_the_same() -> None:
    real, fake = normal(3), normal(9, seed=1)
    close(gan_discriminator_loss(real, fake), F.softplus(-real).mean() + F.softplus(fake).mean())
    pooled = (
        torch.cat([F.softplus(-real), F.softplus(fake)]).mean() * 2
    )  # the mutant: one mean over all samples
    assert abs(float(pooled - gan_discriminator_loss(real, fake))) > 1e-3
    with pytest.raises(BadUsage, match="same shape"):
        gan_discriminator_loss(real, fake, reduction="none")


def test_one_sided_label_smoothing() -> None:
    real, fake = normal(5), normal(5, seed=1)
    right = F.binary_cross_entropy_with_logits(real, ZEROS[:5] + 0.9) + F.softplus(fake).mean()
    close(gan_discriminator_loss(real, fake, label_smoothing=0.1), right)
    spec = get("gan_discriminator")
    assert spec.floor is not None and spec.chance is not None
    floor = spec.floor({"label_smoothing": 0.1}, None)
    best = gan_discriminator_loss(ZEROS + math.log(9), ZEROS - 1e9, label_smoothing=0.1)
    assert floor == pytest.approx(float(best), rel=1e-9)
    chance = spec.chance(None, {"label_smoothing": 0.1})  # type: ignore[arg-type]
    constants = torch.linspace(-1, 1, 4001, dtype=torch.float64)
    losses = gan_discriminator_loss(constants, constants, label_smoothing=0.1, reduction="none")
    assert chance is not None and chance.value == pytest.approx(float(losses.min()), rel=1e-6)


def test_the_saturating_generator_has_no_gradient_where_it_loses() -> None:
    s = torch.tensor([-20.0], requires_grad=True)
    (saturating,) = torch.autograd.grad(logistic_score_loss(s, saturating=True), s)
    (other,) = torch.autograd.grad(logistic_score_loss(s), s)
    assert abs(float(saturating)) < 1e-8
    assert float(other) == pytest.approx(-1.0)


def test_a_linear_critic_has_a_known_penalty_that_can_be_differentiated() -> None:
    critic = nn.Linear(3, 1).double()
    real, fake = normal(5, 3), normal(5, 3, seed=1)
    value = gradient_penalty(interpolated_gradient(critic, real, fake), weight=7.0)
    length = critic.weight.norm()
    close(value.detach(), 7 * (float(length.detach()) - 1) ** 2)
    (grad,) = torch.autograd.grad(value, critic.weight)
    assert torch.allclose(grad, 14 * (length - 1) * critic.weight / length)
    close(wasserstein_critic_loss(real[:, 0], fake[:, 0]), fake[:, 0].mean() - real[:, 0].mean())
    close(mean_score_loss(fake[:, 0], maximise=True), -fake[:, 0].mean())


def test_a_penalty_is_twice_differentiable_where_the_critic_is_flat() -> None:
    critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    with torch.no_grad():
        critic[2].weight.zero_()
    points = normal(5, 3)
    for penalty in (
        gradient_penalty(interpolated_gradient(critic, points, points + 1)),
        r1_penalty(input_gradient(critic, points)),
    ):
        grads = torch.autograd.grad(penalty, list(critic.parameters()), allow_unused=True, retain_graph=True)
        assert all(g is None or bool(g.isfinite().all()) for g in grads)
    close(gradient_penalty(torch.zeros(2, 3)), 10.0)
    # The mutant: the square root of the sum of squares, as it is often written.
    flat = input_gradient(critic, points)
    naive = ((flat.square().sum(1).sqrt() - 1) ** 2).mean()
    grads = torch.autograd.grad(naive, list(critic.parameters()), allow_unused=True)
    assert not all(g is None or bool(g.isfinite().all()) for g in grads)


def test_r1_and_images() -> None:
    g = normal(4, 3, 2, 2)
    close(r1_penalty(g, weight=2.0), g.square().sum((1, 2, 3)).mean())
    close(gradient_penalty(g, weight=1.0), (g.flatten(1).norm(dim=1) - 1).square().mean())
    close(gradient_penalty(g / 100, one_sided=True), 0.0)


def test_relativistic_averages_compare_with_the_other_half() -> None:
    r, f = normal(5), normal(5, seed=1) + 1
    right = F.softplus(-(r - f.mean())).mean() + F.softplus(f - r.mean()).mean()
    close(relativistic_gan_loss(r, f), right)
    mutant = F.softplus(-(r - r.mean())).mean() + F.softplus(f - f.mean()).mean()
    assert abs(float(mutant - right)) > 1e-2


# Reinforcement


def test_ppo_is_the_clipped_minimum() -> None:
    new, old, a = normal(200), normal(200, seed=1), normal(200, seed=2)
    ratio = (new - old).exp()
    right = -torch.minimum(ratio * a, ratio.clamp(0.8, 1.2) * a)
    assert torch.allclose(ppo_clip_loss(new, old, a, reduction="none"), right)
    assert not torch.allclose(-ratio.clamp(0.8, 1.2) * a, right)  # the mutant: the clip without the minimum
    same = ppo_clip_loss(old, old, a)
    close(same, -a.mean())


def test_ppo_gradients_stay_finite_where_the_ratio_overflows() -> None:
    new = torch.tensor([200.0, 200.0, -200.0], requires_grad=True)
    old, a = torch.zeros(3), torch.tensor([1.0, 0.0, -1.0])
    value = ppo_clip_loss(new, old, a)
    value.backward()
    assert math.isfinite(float(value.detach()))
    assert new.grad is not None and new.grad.tolist() == [0.0, 0.0, 0.0]
    naive = torch.tensor([200.0], requires_grad=True)
    r = naive.exp()
    (-torch.minimum(r * a[:1], r.clamp(0.8, 1.2) * a[:1])).sum().backward()
    assert naive.grad is not None and bool(naive.grad.isnan())


def test_group_advantages() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0, 3.0, 3.0, 3.0, 3.0], dtype=torch.float64)
    a = group_advantages(rewards, group_size=4, epsilon=0.0 + 1e-12)
    first = rewards[:4]
    assert torch.allclose(a[:4], (first - first.mean()) / first.std())
    assert a[4:].tolist() == [0.0] * 4  # nothing to learn from equal rewards, and no 0/0
    with pytest.raises(BadUsage, match="whole groups"):
        group_advantages(rewards, group_size=3)


def test_grpo_by_loops_and_its_masks() -> None:
    n, t = 4, 5
    new, old, ref = -normal(n, t).abs(), -normal(n, t, seed=1).abs(), -normal(n, t, seed=2).abs()
    rewards = torch.tensor([0.0, 1.0, 1.0, 5.0], dtype=torch.float64)
    mask = (torch.arange(t) < torch.tensor([[5], [3], [1], [0]])).double()
    a = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
    tokens = torch.zeros(n, t, dtype=torch.float64)
    for i in range(n):
        for j in range(t):
            r = (new[i, j] - old[i, j]).exp()
            d = ref[i, j] - new[i, j]
            clipped = r.clamp(0.8, 1.2)
            tokens[i, j] = -min(r * a[i], clipped * a[i]) + 0.04 * (d.exp() - d - 1)
    per_answer = (tokens * mask).sum(1) / mask.sum(1).clamp(min=1)
    close(grpo_loss(new, old, ref, rewards, mask), per_answer.mean())
    token = grpo_loss(new, old, ref, rewards, mask, average="token")
    close(token, (tokens * mask).sum() / mask.sum())
    assert abs(float(token - per_answer.mean())) > 1e-3
    dirty = new.masked_fill(mask == 0, math.nan).requires_grad_()
    value = grpo_loss(dirty, old, ref, rewards, mask)
    value.backward()
    close(value.detach(), per_answer.mean())
    assert dirty.grad is not None and bool(dirty.grad.isfinite().all())


def test_grpo_starts_at_zero_and_its_kl_is_k3() -> None:
    lp, mask = -normal(6, 4).abs(), torch.ones(6, 4, dtype=torch.float64)
    close(grpo_loss(lp, lp, lp, normal(6), mask), 0.0)
    logits, other = normal(7), normal(7, seed=1)
    p, q = logits.log_softmax(0), other.log_softmax(0)
    # The expectation of k3 over actions of the policy is KL(policy ‖ reference).
    each = [
        grpo_loss(x.expand(2, 1), x.expand(2, 1), y.expand(2, 1), torch.zeros(2), torch.ones(2, 1), beta=1.0)
        for x, y in zip(p, q, strict=True)
    ]
    close((p.exp() * torch.stack(each)).sum(), (p.exp() * (p - q)).sum())


def test_policy_gradient_and_clipped_value() -> None:
    z, y, a = normal(6, 4).requires_grad_(), torch.tensor([0, 1, 2, 3, 0, 1]), normal(6, seed=1)
    value = policy_gradient_loss(z, y, a)
    (grad,) = torch.autograd.grad(value, z)
    p = z.detach().softmax(1)
    assert torch.allclose(grad, a[:, None] * (p - F.one_hot(y, 4)) / 6)
    with pytest.raises((RuntimeError, IndexError)):
        policy_gradient_loss(z, y - 1, a)
    v, old, r = normal(50), normal(50, seed=1), normal(50, seed=2)
    clipped = old + (v - old).clamp(-0.2, 0.2)
    right = 0.5 * torch.maximum((v - r) ** 2, (clipped - r) ** 2).mean()
    close(clipped_value_loss(v, old, r), right)
    assert abs(float(0.5 * torch.minimum((v - r) ** 2, (clipped - r) ** 2).mean() - right)) > 1e-2
