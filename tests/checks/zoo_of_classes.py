"""Losses of classes, labels and masks as libraries and repositories write them, right and wrong."""

import torch
import torch.nn.functional as F
from planted_losses import table
from torch import Tensor, nn

ENTRIES, bug, fine = table()


# probabilities that may be exactly 0 or 1
@bug("finite")
def bce_of_probs(probs: Tensor, target: Tensor) -> Tensor:
    return -(target * torch.log(probs) + (1 - target) * torch.log(1 - probs)).mean()


@fine()
def bce_of_probs_clamped(probs: Tensor, target: Tensor) -> Tensor:
    p = probs.clamp(1e-6, 1 - 1e-6)
    return -(target * torch.log(p) + (1 - target) * torch.log(1 - p)).mean()


@bug("finite")
def focal_of_probs(probs: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    pt = probs * target + (1 - probs) * (1 - target)
    return (-((1 - pt) ** gamma) * pt.log()).mean()


@fine()
def focal_of_probs_eps(probs: Tensor, target: Tensor, gamma: float = 2.0, eps: float = 1e-6) -> Tensor:
    pt = probs * target + (1 - probs) * (1 - target)
    return (-((1 - pt) ** gamma) * (pt + eps).log()).mean()


@bug("finite")
def nll_of_softmax_outputs(probs: Tensor, target: Tensor) -> Tensor:
    return -probs.log()[torch.arange(len(target)), target.clamp(0)].mean()


@bug("finite")
def naive_sigmoid_bce(logits: Tensor, targets: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    return -(targets * torch.log(p) + (1 - targets) * torch.log(1 - p)).mean()


@fine(convex=False)
def clamped_sigmoid_bce(logits: Tensor, targets: Tensor) -> Tensor:
    p = torch.sigmoid(logits).clamp(1e-7, 1 - 1e-7)
    return -(targets * torch.log(p) + (1 - targets) * torch.log(1 - p)).mean()


@bug("finite")
def js_divergence_naive(p: Tensor, q: Tensor) -> Tensor:
    m = 0.5 * (p + q)
    return 0.5 * ((p * (p / m).log()).sum(1) + (q * (q / m).log()).sum(1)).mean()


@fine()
def js_divergence_safe(p: Tensor, q: Tensor) -> Tensor:
    m = (0.5 * (p + q)).clamp(min=1e-6)
    each = torch.special.xlogy(p, p.clamp(min=1e-6) / m) + torch.special.xlogy(q, q.clamp(min=1e-6) / m)
    return 0.5 * each.sum(1).mean()


# signs and axes
@bug("descent", "perfect", "bounded-below")
def soft_target_ce_without_minus(x: Tensor, target: Tensor) -> Tensor:
    return torch.sum(target * F.log_softmax(x, dim=-1), dim=-1).mean()


@fine()
def soft_target_ce(x: Tensor, target: Tensor) -> Tensor:
    return torch.sum(-target * F.log_softmax(x, dim=-1), dim=-1).mean()


@bug("class-axis", "descent", "additive", "permutation-equivariant")
def poly_over_batch(logits: Tensor, labels: Tensor, epsilon: float = 1.0) -> Tensor:
    pt = logits.softmax(dim=0).gather(1, labels[:, None])[:, 0]
    return (-pt.log() + epsilon * (1 - pt)).mean()


@fine()
def poly1(logits: Tensor, labels: Tensor, epsilon: float = 1.0) -> Tensor:
    ce = F.cross_entropy(logits, labels, reduction="none")
    return (ce + epsilon * (1 - (-ce).exp())).mean()


# weights per sample
@bug("weights", "broadcasting")
def weighted_bce_column(input: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(input, target, reduction="none").mean(1)
    return (loss * weight.reshape(-1, 1)).mean()


@fine()
def weighted_bce_rows(input: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(input, target, reduction="none").mean(1)
    return (loss * weight.reshape(-1)).mean()


@bug("weights", "broadcasting")
def weighted_ce_broadcast(logits: Tensor, target: Tensor, sample_weight: Tensor) -> Tensor:
    loss = F.cross_entropy(logits, target, reduction="none")
    return (sample_weight.view(-1, 1) * loss).sum() / sample_weight.sum()


@fine()
def weighted_ce(logits: Tensor, target: Tensor, sample_weight: Tensor) -> Tensor:
    loss = F.cross_entropy(logits, target, reduction="none")
    return (sample_weight.view(-1) * loss).sum() / sample_weight.sum()


# ignored labels
@bug("mutation")
def seg_ce_in_place(output: Tensor, target: Tensor) -> Tensor:
    valid = target != 255
    target[target == 255] = 0
    loss = F.cross_entropy(output, target, reduction="none")
    return (loss * valid).sum() / valid.sum().clamp(min=1)


@fine()
def seg_ce_cloned(output: Tensor, target: Tensor) -> Tensor:
    labels = torch.where(target == 255, -1, target)
    loss = F.cross_entropy(output, labels, ignore_index=-1, reduction="sum")
    return loss / (labels != -1).sum().clamp(min=1)


@bug("ignored")
def ce_mean_over_padding(logits: Tensor, target: Tensor, ignore_index: int = -100) -> Tensor:
    return F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none").mean()


@fine()
def ce_mean_over_kept(logits: Tensor, target: Tensor, ignore_index: int = -100) -> Tensor:
    loss = F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="sum")
    return loss / (target != ignore_index).sum().clamp(min=1)


@fine()
def label_smoothed_nll(
    lprobs: Tensor, target: Tensor, epsilon: float = 0.1, ignore_index: int | None = None
) -> Tensor:
    """As in fairseq."""
    target = target.unsqueeze(-1)
    nll, smooth = -lprobs.gather(dim=-1, index=target), -lprobs.sum(dim=-1, keepdim=True)
    if ignore_index is not None:
        pad = target.eq(ignore_index)
        nll.masked_fill_(pad, 0.0)
        smooth.masked_fill_(pad, 0.0)
    eps_i = epsilon / (lprobs.size(-1) - 1)
    return (1.0 - epsilon - eps_i) * nll.sum() + eps_i * smooth.sum()


# structured batches
@fine("permutation-equivariant", tolerated="finite")  # its KL has no gradient at probabilities of 0
class JsdCrossEntropy(nn.Module):
    """As in timm: a batch is [clean, augmented, augmented]."""

    def __init__(self, num_splits=3, alpha=12):
        super().__init__()
        self.num_splits, self.alpha = num_splits, alpha

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        split = output.shape[0] // self.num_splits
        assert split * self.num_splits == output.shape[0]
        logits = torch.split(output, split)
        loss = F.cross_entropy(logits[0], target[:split])
        probs = [F.softmax(z, dim=1) for z in logits]
        mixture = torch.clamp(torch.stack(probs).mean(axis=0), 1e-7, 1).log()
        return loss + self.alpha * sum(F.kl_div(mixture, p, reduction="batchmean") for p in probs) / len(
            probs
        )


@bug("permutation-equivariant")
def last_counts_double(logits: Tensor, labels: Tensor) -> Tensor:
    losses = F.cross_entropy(logits, labels, reduction="none")
    return (losses.sum() + losses[-1]) / (len(losses) + 1)


# labels from 1, heads
@fine(task="classes-from-one")
def labels_from_one(logits: Tensor, labels: Tensor) -> Tensor:
    """Labels are 1 … C."""
    return 1.0 * F.cross_entropy(logits, labels - 1)


@fine()
class ArcFace(nn.Module):
    def __init__(self, num_classes=4, embedding_size=8, margin=0.3, scale=16.0):
        super().__init__()
        self.W = nn.Parameter(torch.randn(embedding_size, num_classes))
        self.num_classes, self.embedding_size, self.margin, self.scale = (
            num_classes,
            embedding_size,
            margin,
            scale,
        )

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosine = F.normalize(embeddings) @ F.normalize(self.W, dim=0)
        theta = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()
        hot = F.one_hot(labels, self.num_classes)
        return F.cross_entropy(
            self.scale * torch.where(hot.bool(), (theta + self.margin).cos(), cosine), labels
        )


@fine(task="head")
class ArcFaceOfList(nn.Module):
    """Weights of a plain tensor, sizes by position."""

    def __init__(self, num_classes, embedding_size):
        super().__init__()
        self.nc, self.es = num_classes, embedding_size
        self.kernel = nn.Parameter(torch.randn(embedding_size, num_classes))

    def forward(self, embeddings: Tensor, label: Tensor) -> Tensor:
        assert embeddings.shape[1] == self.es
        return F.cross_entropy(8 * F.normalize(embeddings) @ F.normalize(self.kernel, dim=0), label)


# masks
@bug("finite")
def dice_without_smooth(probs: Tensor, target: Tensor) -> Tensor:
    inter = (probs * target).sum((1, 2, 3))
    return (1 - 2 * inter / (probs.sum((1, 2, 3)) + target.sum((1, 2, 3)))).mean()


@fine()
def dice_with_eps(probs: Tensor, target: Tensor, eps: float = 1e-3) -> Tensor:
    inter = (probs * target).sum((1, 2, 3))
    return (1 - (2 * inter + eps) / (probs.sum((1, 2, 3)) + target.sum((1, 2, 3)) + eps)).mean()


@bug("finite")
def iou_without_eps(pred: Tensor, mask: Tensor) -> Tensor:
    inter, total = (pred * mask).sum(), (pred + mask).sum()
    return 1 - inter / (total - inter)


@bug("perfect", "descent")
def dice_coefficient_as_loss(probs: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    inter = (probs * target).sum()
    return (2 * inter + smooth) / (probs.sum() + target.sum() + smooth)


@bug("gradient")
def dice_of_argmax(logits: Tensor, target: Tensor) -> Tensor:
    p = (logits.sigmoid() > 0.5).to(logits.dtype)
    return 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1) + 0 * logits.sum()


@fine()
def tversky(
    probs: Tensor, target: Tensor, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0
) -> Tensor:
    tp, fp, fn = (probs * target).sum(), (probs * (1 - target)).sum(), ((1 - probs) * target).sum()
    return 1 - (tp + smooth) / (tp + alpha * fp + beta * fn + smooth)
