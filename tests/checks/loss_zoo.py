"""Losses as people write them, each with the readings of its inputs that are right.

``anonymous`` takes all names away, so that only behaviour is left to go by.
"""

from collections.abc import Callable
from types import FunctionType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ZOO: list[tuple[Callable[..., Tensor], set[str]]] = []


def reads(*tasks: str) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    def add(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        ZOO.append((loss, set(tasks)))
        return loss

    return add


def anonymous(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function with the names f(a0, a1, …) and no docstring."""
    code = loss.__code__  # type: ignore[attr-defined]
    names = tuple(f"a{i}" for i in range(code.co_argcount)) + code.co_varnames[code.co_argcount :]
    free = {name: loss.__globals__[name] for name in code.co_names if name in loss.__globals__}  # type: ignore[attr-defined]
    bare = code.replace(co_varnames=names, co_name="f", co_qualname="f")
    found = FunctionType(bare, {**free, "__name__": "m"}, "f", loss.__defaults__)  # type: ignore[attr-defined]
    found.__module__ = "m"
    return found


# one-hot masks [N, C, H, W]
@reads("segmentation-one-hot")
def softmax_dice(logits: Tensor, target: Tensor) -> Tensor:
    p = logits.softmax(1)
    overlap, total = (p * target).sum((0, 2, 3)), (p + target).sum((0, 2, 3))
    return 1 - ((2 * overlap + 1) / (total + 1)).mean()


@reads("segmentation-one-hot-probabilities")
def generalised_dice(probs: Tensor, onehot: Tensor) -> Tensor:
    n, c, _, _ = probs.shape
    w = 1 / (onehot.sum((0, 2, 3)) + 1).square()
    if c < 2:
        raise ValueError("two classes at least")
    overlap, total = (w * (probs * onehot).sum((0, 2, 3))).sum(), (w * (probs + onehot).sum((0, 2, 3))).sum()
    return 1 - 2 * overlap / total + 0 * n


@reads("segmentation-one-hot", "one-hot")  # of vectors it means the same
def tversky_multiclass(y_pred: Tensor, y_true: Tensor, alpha: float = 0.3) -> Tensor:
    p = torch.softmax(y_pred, dim=1)[:, 1:]
    t = y_true[:, 1:]
    tp, fp, fn = (p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum()
    return 1 - (tp + 1) / (tp + alpha * fp + (1 - alpha) * fn + 1)


# quantile heads [N, Q] against [N]
@reads("quantiles")
def pinball(preds: Tensor, target: Tensor, quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)) -> Tensor:
    assert preds.shape[0] == target.shape[0]
    total = []
    for i, q in enumerate(quantiles):
        error = target - preds[:, i]
        total.append(torch.max((q - 1) * error, q * error).unsqueeze(1))
    return torch.cat(total, 1).sum(1).mean()


@reads("quantiles")
def pinball_five(
    y_hat: Tensor, y: Tensor, levels: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)
) -> Tensor:
    error = y[:, None] - y_hat
    q = torch.tensor(levels, dtype=y_hat.dtype)
    return torch.maximum(q * error, (q - 1) * error).mean()


@reads("quantiles-column")
def pinball_column(out: Tensor, y: Tensor, taus: tuple[float, ...] = (0.2, 0.5, 0.8)) -> Tensor:
    assert y.shape[1] == 1
    error = y - out
    q = torch.tensor(taus, dtype=out.dtype)
    return torch.where(error > 0, q * error, (q - 1) * error).mean()


# VAE: no target
@reads("latent")
def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum()


@reads("latent")
def kl_rows(z_mean: Tensor, z_log_var: Tensor) -> Tensor:
    return (-0.5 * (1 + z_log_var - z_mean**2 - z_log_var.exp()).sum(1)).mean(0)


@reads("latent-scale")
def kl_sigma(mu: Tensor, sigma: Tensor) -> Tensor:
    return 0.5 * (mu**2 + sigma**2 - 2 * sigma.log() - 1).sum(1).mean()


# pairs
@reads("pair-binary")
def contrastive(output1: Tensor, output2: Tensor, label: Tensor) -> Tensor:
    d = F.pairwise_distance(output1, output2)
    return ((1 - label) * d.pow(2) + label * (1.5 - d).clamp(min=0).pow(2)).mean()


@reads("pair-binary")
def contrastive_similar(x1: Tensor, x2: Tensor, y: Tensor) -> Tensor:
    d = (x1 - x2).square().sum(1)
    return (y * d + (1 - y) * (2.0 - (d + 1e-9).sqrt()).relu().square()).mean()


@reads("pair-binary")
def cosine_pairs(e1: Tensor, e2: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(5 * F.cosine_similarity(e1, e2), y)


@reads("pair-embedding")
def cosine_signs(first: Tensor, second: Tensor, label: Tensor) -> Tensor:
    return F.softplus(-label * F.cosine_similarity(first, second)).mean()


@reads("pair-embedding")
def contrastive_signs(a: Tensor, b: Tensor, y: Tensor) -> Tensor:
    d = (a - b).square().sum(1)
    return ((1 + y) / 2 * d + (1 - y) / 2 * (1.0 - (d + 1e-9).sqrt()).relu().square()).mean()


@reads("pair-ranking-binary")
def ranknet(score1: Tensor, score2: Tensor, label: Tensor) -> Tensor:
    assert score1.dim() == 1
    return F.binary_cross_entropy_with_logits(score1 - score2, label)


@reads("pair-ranking")
def ranking(s1: Tensor, s2: Tensor, y: Tensor) -> Tensor:
    assert s1.dim() == 1
    return (0.5 - y * (s1 - s2)).relu().mean()


# weights per class
@reads("multi-class")
def focal_alpha(inputs: Tensor, targets: Tensor, alpha: tuple[float, ...] = (0.2, 0.3, 0.5)) -> Tensor:
    ce = F.cross_entropy(inputs, targets, reduction="none")
    at = torch.tensor(alpha, dtype=inputs.dtype)[targets]
    return (at * (1 - (-ce).exp()) ** 2 * ce).mean()


# regression that constants do not tell
@reads("regression")
def r2(y_pred: Tensor, y_true: Tensor) -> Tensor:
    return (y_true - y_pred).square().sum() / (y_true - y_true.mean()).square().sum()


@reads("regression")
def one_minus_correlation(x: Tensor, y: Tensor) -> Tensor:
    x, y = x - x.mean(), y - y.mean()
    return 1 - (x * y).sum() / (x.norm() * y.norm() + 1e-8)


@reads("regression")
def concordance(x: Tensor, y: Tensor) -> Tensor:
    mx, my = x.mean(), y.mean()
    cov = ((x - mx) * (y - my)).mean()
    return 1 - 2 * cov / (x.var() + y.var() + (mx - my).square() + 1e-8)


@reads("regression")
def nse(sim: Tensor, obs: Tensor) -> Tensor:
    return ((sim - obs) ** 2).sum(0).div(((obs - obs.mean(0)) ** 2).sum(0) + 1e-3).mean()


@reads("regression")
def smape(p: Tensor, t: Tensor) -> Tensor:
    return ((p - t).abs() / (p.abs() + t.abs() + 1e-3)).mean()


# masks as a third argument
@reads("masked-regression")
def masked_mse(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return ((pred - target) ** 2 * mask).sum() / mask.sum()


@reads("masked-regression", "masked-regression-boolean")
def masked_l1(output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    return (output - target)[valid.bool()].abs().mean()


@reads("masked-regression-boolean")
def indexed_mse(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return F.mse_loss(pred[mask], target[mask])


@reads("masked-regression", "weighted-regression")
def weighted_huber(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    assert weight.shape == pred.shape
    return (weight * F.huber_loss(pred, target, reduction="none")).mean()


@reads("masked-binary")
def masked_bce(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (loss * mask).sum() / mask.sum().clamp(min=1)


@reads("heteroscedastic")
def gaussian_nll(mean: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    return 0.5 * (variance.log() + (mean - target) ** 2 / variance).mean()


# parameters of a distribution
@reads("evidential", "evidential-column")
def evidential(evidence: Tensor, y: Tensor) -> Tensor:
    assert evidence.shape[1] == 4
    gamma, nu, alpha, beta = evidence.chunk(4, -1)
    omega = 2 * beta * (1 + nu)
    nll = (
        0.5 * (torch.pi / nu).log()
        - alpha * omega.log()
        + (alpha + 0.5) * (nu * (y - gamma) ** 2 + omega).log()
        + alpha.lgamma()
        - (alpha + 0.5).lgamma()
    )
    return (nll + 0.01 * (y - gamma).abs() * (2 * nu + alpha)).mean()


@reads("evidential")
def nig_nll(params: Tensor, y: Tensor) -> Tensor:
    gamma, nu, alpha, beta = params.unbind(-1)
    omega = 2 * beta * (1 + nu)
    return (
        0.5 * (torch.pi / nu).log()
        - alpha * omega.log()
        + (alpha + 0.5) * (nu * (y - gamma) ** 2 + omega).log()
        + alpha.lgamma()
        - (alpha + 0.5).lgamma()
    ).mean()


# an own label for padding
@reads("log-probabilities")
def label_smoothed_nll_loss(
    lprobs: Tensor, target: Tensor, epsilon: float = 0.1, ignore_index: int = 1
) -> Tensor:
    target = target.unsqueeze(-1)
    nll, smooth = -lprobs.gather(-1, target), -lprobs.sum(-1, keepdim=True)
    pad = target.eq(ignore_index)
    nll, smooth = nll.masked_fill(pad, 0.0).sum(), smooth.masked_fill(pad, 0.0).sum()
    share = epsilon / (lprobs.size(-1) - 1)
    return (1 - epsilon - share) * nll + share * smooth


class AlphaFocal(nn.Module):
    """Focal loss with a list of weights."""

    def __init__(self, alpha=None, gamma=2.0):
        super().__init__()
        self.alpha, self.gamma = torch.tensor(alpha), gamma

    def forward(self, inputs, targets):
        lp = inputs.log_softmax(1).gather(1, targets[:, None])[:, 0]
        return -(self.alpha.to(lp)[targets] * (1 - lp.exp()) ** self.gamma * lp).mean()


def ohem(logits: Tensor, target: Tensor, min_kept: int = 40, threshold: float = 0.7) -> Tensor:
    """Only hard samples, but at least ``min_kept`` of them."""
    each = F.cross_entropy(logits, target, reduction="none").reshape(-1)
    kept = min(min_kept, each.numel())
    hard = max(float((each > -torch.tensor(threshold).log()).sum()), kept)
    return each.topk(int(hard)).values.mean()


def dict_of_losses(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    return {"loss_cls": F.cross_entropy(logits, target), "loss_reg": logits.square().mean()}
