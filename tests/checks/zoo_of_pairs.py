"""Contrastive, metric, ranking, preference, policy and game losses, right and wrong."""

import torch
import torch.nn.functional as F
from planted_losses import table
from torch import Tensor, nn

ENTRIES, bug, fine = table()
NO = {"convex": False, "smooth": False, "lipschitz": False}


def _two_views(
    a: Tensor, b: Tensor, temperature: float, *, masked: bool = True, times: bool = False
) -> Tensor:
    z = F.normalize(torch.cat([a, b]), dim=1)
    logits = z @ z.T * temperature if times else z @ z.T / temperature
    if masked:
        logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool), -1e9)
    n = len(a)
    return F.cross_entropy(logits, torch.cat([torch.arange(n) + n, torch.arange(n)]))


@fine(**NO)
def nt_xent(z_i: Tensor, z_j: Tensor, temperature: float = 0.5) -> Tensor:
    return _two_views(z_i, z_j, temperature)


@bug("temperature")
def nt_xent_times_temperature(z_i: Tensor, z_j: Tensor, temperature: float = 0.1) -> Tensor:
    return _two_views(z_i, z_j, temperature, times=True)


@bug("self-similarity")
def nt_xent_unmasked(z_i: Tensor, z_j: Tensor, temperature: float = 0.5) -> Tensor:
    return _two_views(z_i, z_j, temperature, masked=False)


@fine(**NO)
def info_nce(query: Tensor, keys: Tensor, temperature: float = 0.1) -> Tensor:
    q, k = F.normalize(query, dim=1), F.normalize(keys, dim=1)
    return F.cross_entropy(q @ k.T / temperature, torch.arange(len(q)))


@bug("perfect")
def info_nce_negated(query: Tensor, keys: Tensor, temperature: float = 0.1) -> Tensor:
    q, k = F.normalize(query, dim=1), F.normalize(keys, dim=1)
    return F.cross_entropy(-(q @ k.T) / temperature, torch.arange(len(q)))


@bug("temperature")
def clip_times_temperature(
    image_features: Tensor, text_features: Tensor, temperature: float = 0.07
) -> Tensor:
    logits = F.normalize(image_features) @ F.normalize(text_features).T * temperature
    y = torch.arange(len(logits))
    return (F.cross_entropy(logits, y) + F.cross_entropy(logits.T, y)) / 2


def _supcon(features: Tensor, labels: Tensor, temperature: float, *, with_self: bool, masked: bool) -> Tensor:
    z = F.normalize(features, dim=1)
    logits = z @ z.T / temperature
    same = (labels[:, None] == labels[None]).to(z.dtype)
    others = 1 - torch.eye(len(z), dtype=z.dtype)
    logits = logits - logits.max(1, keepdim=True).values.detach()
    total = (logits.exp() * (others if masked else 1)).sum(1, keepdim=True)
    positives = same if with_self else same * others
    each = (positives * (logits - total.log())).sum(1) / positives.sum(1).clamp(min=1)
    return -each.mean()


@fine(**NO)
def supcon(features: Tensor, labels: Tensor, temperature: float = 0.2) -> Tensor:
    return _supcon(features, labels, temperature, with_self=False, masked=True)


@bug("perfect", "self-similarity")
def supcon_self_positive(features: Tensor, labels: Tensor, temperature: float = 0.2) -> Tensor:
    return _supcon(features, labels, temperature, with_self=True, masked=True)


@bug("self-similarity")
def supcon_unmasked(features: Tensor, labels: Tensor, temperature: float = 0.2) -> Tensor:
    return _supcon(features, labels, temperature, with_self=False, masked=False)


@fine(convex=False)
def cosine_embedding(x1: Tensor, x2: Tensor, target: Tensor) -> Tensor:
    c = F.cosine_similarity(x1, x2)
    return torch.where(target > 0, 1 - c, c.clamp(min=0)).mean()


@fine(convex=False)
def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    ap, an = ((anchor - x).square().sum(1).add(1e-6).sqrt() for x in (positive, negative))
    return (ap - an + margin).relu().mean()


@bug("perfect")
def triplet_swapped(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    ap, an = ((anchor - x).square().sum(1).add(1e-6).sqrt() for x in (positive, negative))
    return (an - ap + margin).relu().mean()


@bug("finite")
def triplet_sqrt_of_zero(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    ap, an = ((anchor - x).square().sum(1).sqrt() for x in (positive, negative))
    return (ap - an + 1).relu().mean()


@fine()
def margin_ranking(x1: Tensor, x2: Tensor, y: Tensor, margin: float = 0.5) -> Tensor:
    return (-y * (x1 - x2) + margin).relu().mean()


@bug("perfect")
def margin_ranking_swapped(x1: Tensor, x2: Tensor, y: Tensor, margin: float = 0.5) -> Tensor:
    return (y * (x1 - x2) + margin).relu().mean()


@fine()
def bpr(pos_scores: Tensor, neg_scores: Tensor) -> Tensor:
    return -F.logsigmoid(pos_scores - neg_scores).mean()


@bug("perfect")
def bpr_swapped(pos_scores: Tensor, neg_scores: Tensor) -> Tensor:
    return -F.logsigmoid(neg_scores - pos_scores).mean()


@bug("finite")
def bpr_log_sigmoid(pos_scores: Tensor, neg_scores: Tensor) -> Tensor:
    return -torch.log(torch.sigmoid(pos_scores - neg_scores)).mean()


@fine()
def dpo(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    beta: float = 0.1,
) -> Tensor:
    ratio = (policy_chosen_logps - policy_rejected_logps) - (
        reference_chosen_logps - reference_rejected_logps
    )
    return -F.logsigmoid(beta * ratio).mean() * 1.5


@bug("perfect")
def dpo_swapped(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    beta: float = 0.1,
) -> Tensor:
    ratio = (policy_rejected_logps - policy_chosen_logps) - (
        reference_rejected_logps - reference_chosen_logps
    )
    return -F.logsigmoid(beta * ratio).mean()


@bug("perfect")
def simpo_swapped(
    chosen_logps: Tensor, rejected_logps: Tensor, beta: float = 2.0, gamma: float = 0.5
) -> Tensor:
    return -F.logsigmoid(beta * (rejected_logps - chosen_logps) - gamma).mean()


@fine()
def simpo(chosen_logps: Tensor, rejected_logps: Tensor, beta: float = 2.0, gamma: float = 0.5) -> Tensor:
    return -F.logsigmoid(beta * (chosen_logps - rejected_logps) - gamma).mean()


@fine(task="policy-ratio")
def ppo_clip_ratio(ratio: Tensor, advantages: Tensor, clip_eps: float = 0.2) -> Tensor:
    return -torch.min(ratio * advantages, ratio.clamp(1 - clip_eps, 1 + clip_eps) * advantages).mean()


@fine(task="policy")
def ppo_clip(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip: float = 0.2) -> Tensor:
    ratio = (log_probs - old_log_probs).exp()
    return -torch.min(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


@bug("descent", "perfect")
def ppo_clip_without_minus(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip: float = 0.2
) -> Tensor:
    ratio = (log_probs - old_log_probs).exp()
    return torch.min(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


@fine(task="reinforce")
def reinforce(log_probs: Tensor, advantages: Tensor) -> Tensor:
    return -(log_probs * advantages).mean()


@bug("descent", "perfect")
def reinforce_ascending(log_probs: Tensor, advantages: Tensor) -> Tensor:
    return (log_probs * advantages).mean()


@fine()
def hinge_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return (1 - real_scores).relu().mean() + (1 + fake_scores).relu().mean()


@bug("perfect")
def hinge_discriminator_swapped(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return (1 + real_scores).relu().mean() + (1 - fake_scores).relu().mean()


@fine()
class CoxPartialLikelihood(nn.Module):
    def forward(self, risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
        at_risk = (time[None, :] >= time[:, None]).to(risk.dtype)
        log_sum = (risk[None, :] + at_risk.log()).logsumexp(1)
        return -((risk - log_sum) * event).sum() / event.sum().clamp(min=1)


@bug("perfect")
class CoxOfTheDead(nn.Module):
    """The risk set holds those that died before."""

    def forward(self, risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
        at_risk = (time[None, :] <= time[:, None]).to(risk.dtype)
        log_sum = (risk[None, :] + at_risk.log()).logsumexp(1)
        return -((risk - log_sum) * event).sum() / event.sum().clamp(min=1)
