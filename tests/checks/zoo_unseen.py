"""Losses that were written after the checkers, and run once before anything was changed for them."""

import torch
import torch.nn.functional as F
from planted_losses import table
from torch import Tensor, nn

ENTRIES, bug, fine = table()


@bug("finite")
class BinaryTverskyNoSmooth(nn.Module):
    def __init__(self, alpha=0.5, beta=0.5):
        super().__init__()
        self.alpha, self.beta = alpha, beta

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        y_pred, y_true = y_pred.flatten(1), y_true.flatten(1)
        tp = (y_pred * y_true).sum(1)
        fp, fn = (y_pred * (1 - y_true)).sum(1), ((1 - y_pred) * y_true).sum(1)
        return (1 - tp / (tp + self.alpha * fp + self.beta * fn)).mean()


@fine()
class FocalTversky(nn.Module):
    def __init__(self, alpha=0.7, gamma=0.75, smooth=1.0):
        super().__init__()
        self.alpha, self.gamma, self.smooth = alpha, gamma, smooth

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        p, t = torch.sigmoid(inputs).flatten(), targets.flatten()
        tp, fp, fn = (p * t).sum(), ((1 - t) * p).sum(), (t * (1 - p)).sum()
        return 1 - (tp + self.smooth) / (tp + self.alpha * fn + (1 - self.alpha) * fp + self.smooth)


@bug("ignored")
def token_ce_over_all(lm_logits: Tensor, labels: Tensor, ignore_index: int = -100) -> Tensor:
    loss = F.cross_entropy(lm_logits, labels, reduction="none", ignore_index=ignore_index)
    return loss.sum() / labels.numel()


@bug("mutation")
def masked_fill_in_place(logits: Tensor, targets: Tensor) -> Tensor:
    ignored = targets == -100
    targets.masked_fill_(ignored, 0)
    nll = F.nll_loss(F.log_softmax(logits, 1), targets, reduction="none")
    return nll.masked_select(~ignored).mean()


@bug("perfect", "descent")
def cosine_regression_minimised(pred: Tensor, target: Tensor) -> Tensor:
    return F.cosine_similarity(pred, target, dim=-1).mean()


@fine(convex=False)
def cosine_regression(pred: Tensor, target: Tensor) -> Tensor:
    return (1 - F.cosine_similarity(pred, target, dim=-1)).mean()


@bug("spread", "bounded-below")
def beta_vae_kl(z_mean: Tensor, z_logvar: Tensor, beta: float = 4.0) -> Tensor:
    return beta * torch.mean(0.5 * (1 + z_logvar - z_mean**2 - torch.exp(z_logvar)).sum(1))


@fine()
def laplace_nll(mean: Tensor, target: Tensor, log_scale: Tensor) -> Tensor:
    return (log_scale + (target - mean).abs() * torch.exp(-log_scale)).mean()


@bug("spread", "bounded-below")
def student_nll_inverted(mu: Tensor, y: Tensor, sigma: Tensor, nu: float = 4.0) -> Tensor:
    z = (y - mu) / sigma
    return (0.5 * (nu + 1) * torch.log1p(z**2 / nu) - sigma.log()).mean()


@bug("self-similarity")
def simclr_keep_diagonal(features_a: Tensor, features_b: Tensor, tau: float = 0.5) -> Tensor:
    a, b = F.normalize(features_a, dim=-1), F.normalize(features_b, dim=-1)
    z = torch.cat([a, b], 0)
    sim = torch.exp(z @ z.t() / tau)
    positives = torch.exp((a * b).sum(-1) / tau).repeat(2)
    return -(positives / sim.sum(-1)).log().mean()


@fine(convex=False, smooth=False)
class MultiSimilarity(nn.Module):
    def __init__(self, alpha=2.0, beta=10.0, base=0.5):
        super().__init__()
        self.alpha, self.beta, self.base = alpha, beta, base

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        sim = F.normalize(embeddings) @ F.normalize(embeddings).T
        same = (labels[:, None] == labels[None]) & ~torch.eye(len(labels), dtype=torch.bool)
        other = labels[:, None] != labels[None]
        pos = torch.log1p((torch.exp(-self.alpha * (sim - self.base)) * same).sum(1)) / self.alpha
        neg = torch.log1p((torch.exp(self.beta * (sim - self.base)) * other).sum(1)) / self.beta
        return (pos + neg).mean()


@bug("perfect")
class BatchHardReversed(nn.Module):
    """The farthest negative and the nearest positive, subtracted the wrong way round."""

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        d = torch.cdist(embeddings, embeddings)
        same = labels[:, None] == labels[None]
        positive = torch.where(same, d, 0.0).amax(1)
        negative = torch.where(same, torch.inf, d).amin(1)
        return (negative - positive + 0.3).relu().mean()


@bug("perfect")
def reward_model_loss(rejected_rewards: Tensor, chosen_rewards: Tensor) -> Tensor:
    return -F.logsigmoid(rejected_rewards - chosen_rewards).mean()


@fine()
def reward_model_loss_right(chosen_rewards: Tensor, rejected_rewards: Tensor, margin: float = 0.1) -> Tensor:
    return -F.logsigmoid(chosen_rewards - rejected_rewards - margin).mean()


@bug("perfect")
def ipo_swapped(
    chosen_logps: Tensor, rejected_logps: Tensor, ref_chosen: Tensor, ref_rejected: Tensor
) -> Tensor:
    h = (rejected_logps - chosen_logps) - (ref_rejected - ref_chosen)
    return ((h - 5.0) ** 2).mean()


@bug("weights", "broadcasting")
class WeightedSmoothL1(nn.Module):
    def forward(self, pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        loss = F.smooth_l1_loss(pred, target, reduction="none").mean(-1, keepdim=True)
        return (loss * weight).sum() / weight.sum()


@fine()
def weighted_focal(logits: Tensor, targets: Tensor, weights: Tensor, gamma: float = 2.0) -> Tensor:
    ce = F.cross_entropy(logits, targets, reduction="none")
    return (weights.view(-1) * (1 - torch.exp(-ce)) ** gamma * ce).mean()


@fine("target-gradient")
def mimic_logits(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    p, q = student_logits.softmax(-1), teacher_logits.softmax(-1)
    return ((p - q) ** 2).sum(-1).mean()


@bug("finite")
def poly_bce_of_probs(prob: Tensor, y: Tensor) -> Tensor:
    pt = torch.where(y == 1, prob, 1 - prob)
    return (-pt.log() + (1 - pt)).mean()


@bug("permutation-equivariant", "additive")
def cumulative_weighting(pred: Tensor, target: Tensor) -> Tensor:
    w = torch.arange(1, len(pred) + 1, dtype=pred.dtype).reshape(-1, 1)
    return (w * (pred - target) ** 2).sum() / w.sum()


@fine("permutation-equivariant")
def two_crops(features: Tensor, labels: Tensor) -> Tensor:
    """The two views of a sample stand one half of the batch apart."""
    a, b = F.normalize(features, dim=1).chunk(2)
    return F.cross_entropy(a @ b.T / 0.2, torch.arange(len(a))) + 0.0 * labels.sum()


@fine(smooth=True, convex=True)
def pseudo_huber(y_hat: Tensor, y: Tensor, delta: float = 0.01) -> Tensor:
    return (delta**2 * (torch.sqrt(1 + ((y_hat - y) / delta) ** 2) - 1)).mean()


@fine()
def actor_loss(log_prob: Tensor, advantage: Tensor) -> Tensor:
    return -(log_prob * advantage.detach()).mean()
