"""Losses of values, spreads, boxes and distributions, right and wrong."""

import torch
import torch.nn.functional as F
from planted_losses import table
from torch import Tensor

ENTRIES, bug, fine = table()


# pieces that do not meet, kinks, curvature
@fine("continuous", smooth=False)
def huber_jumping(input: Tensor, target: Tensor) -> Tensor:
    d = (input - target).abs()
    return torch.where(d < 1, 0.5 * d**2, d).mean()


class _OneSlope(torch.autograd.Function):
    """A gradient that hides a jump of the value."""

    @staticmethod
    def forward(ctx, d: Tensor) -> Tensor:
        ctx.save_for_backward(d)
        return torch.where(d.abs() < 1, 0.5 * d**2, 2 * d.abs())

    @staticmethod
    def backward(ctx, *g: Tensor):
        (d,) = ctx.saved_tensors
        return g[0] * d.clamp(-1, 1)


@bug("gradient", smooth=False, lipschitz=False, convex=False)
def huber_of_one_slope(input: Tensor, target: Tensor) -> Tensor:
    return _OneSlope.apply(input - target).mean()


@fine("continuous", smooth=False, lipschitz=False)
def huber_detached(input: Tensor, target: Tensor) -> Tensor:
    """The value jumps by 2, in a part whose gradient is cut."""
    d = (input - target).abs()
    step = 2.0 * (d.detach() > 1).to(d.dtype)
    return (F.huber_loss(input, target, reduction="none") + step).mean()


@fine(smooth=True, lipschitz=True, convex=True)
def charbonnier(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    return torch.sqrt((x - y) ** 2 + eps**2).mean()


@fine(smooth=False, lipschitz=True, convex=True)
def l1(x: Tensor, y: Tensor) -> Tensor:
    return 2 * (x - y).abs().mean()


@bug("finite")
def log_cosh(pred: Tensor, target: Tensor) -> Tensor:
    return torch.log(torch.cosh(pred - target)).mean()


@fine(smooth=True, lipschitz=True)
def log_cosh_stable(pred: Tensor, target: Tensor) -> Tensor:
    d = pred - target
    return (d + F.softplus(-2 * d) - 0.6931471805599453).mean()


@bug("finite")
def rmse(pred: Tensor, target: Tensor) -> Tensor:
    return torch.sqrt(F.mse_loss(pred, target))


@fine()
def rmse_eps(pred: Tensor, target: Tensor, eps: float = 1e-6) -> Tensor:
    return torch.sqrt(F.mse_loss(pred, target) + eps)


@bug("finite")
def smape(pred: Tensor, target: Tensor) -> Tensor:
    return (2 * (pred - target).abs() / (pred.abs() + target.abs())).mean()


@bug("broadcasting")
def mse_by_hand(pred: Tensor, target: Tensor) -> Tensor:
    return ((pred - target) ** 2).mean()


@fine()
def mse_checked(pred: Tensor, target: Tensor) -> Tensor:
    assert pred.shape == target.shape
    return 0.5 * ((pred - target) ** 2).mean()


@bug("elicits", "quantile-level", "perfect")
def pinball_swapped(preds: Tensor, target: Tensor, quantile: float = 0.9) -> Tensor:
    assert preds.shape == target.shape
    e = preds - target
    return torch.maximum(quantile * e, (quantile - 1) * e).mean()


@fine()
def pinball(preds: Tensor, target: Tensor, quantile: float = 0.9) -> Tensor:
    assert preds.shape == target.shape
    e = target - preds
    return torch.maximum(quantile * e, (quantile - 1) * e).mean()


# masks and weights
@bug("ignored")
def masked_mse_mean_of_all(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return (((pred - target) ** 2) * mask).mean()


@fine()
def masked_mse(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    mask = mask.to(pred.dtype)
    each = torch.where(mask > 0, pred - target, 0.0) ** 2
    return each.sum() / mask.sum().clamp(min=1)


@bug("weights", "broadcasting")
def weighted_mse_crossed(input: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    each = ((input - target) ** 2).mean(dim=1, keepdim=True)
    return (weights * each).mean()


@fine()
def weighted_mse(input: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    each = ((input - target) ** 2).mean(dim=1)
    return (weights.reshape(-1) * each).mean()


# spreads
@bug("spread", "bounded-below")
def gaussian_nll_wrong_sign(mean: Tensor, target: Tensor, var: Tensor) -> Tensor:
    return 0.5 * ((mean - target) ** 2 / var - torch.log(var)).mean()


@fine()
def gaussian_nll(mean: Tensor, target: Tensor, var: Tensor, eps: float = 1e-6) -> Tensor:
    var = var.clamp(min=eps)
    return 0.5 * ((mean - target) ** 2 / var + torch.log(var)).mean()


@bug("spread", "bounded-below")
def nll_log_variance_times(mu: Tensor, y: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (torch.exp(log_var) * (y - mu) ** 2 + log_var).mean()


@fine()
def nll_log_variance(mu: Tensor, y: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (torch.exp(-log_var) * (y - mu) ** 2 + log_var).mean()


@bug("spread", "bounded-below")
def kl_with_plus(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


@fine()
def kl_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    return -0.5 * torch.mean(torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1))


@bug("spread", "perfect", "bounded-below")
def laplace_nll_without_log(pred: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    return ((pred - target).abs() / scale).mean()


# distillation, distributions
@bug("perfect")
def kd_without_log(student_logits: Tensor, teacher_logits: Tensor, T: float = 4.0) -> Tensor:
    p, q = F.softmax(student_logits / T, dim=1), F.softmax(teacher_logits.detach() / T, dim=1)
    return F.kl_div(p, q, reduction="batchmean") * T * T


@fine()
def kd(student_logits: Tensor, teacher_logits: Tensor, T: float = 4.0) -> Tensor:
    p, q = F.log_softmax(student_logits / T, dim=1), F.softmax(teacher_logits.detach() / T, dim=1)
    return F.kl_div(p, q, reduction="batchmean") * T * T


@fine("target-gradient")
def kd_with_live_teacher(student: Tensor, teacher: Tensor) -> Tensor:
    return F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")


@fine("denominator")
def kd_mean_of_elements(student: Tensor, teacher: Tensor, tau: float = 2.0) -> Tensor:
    p, q = F.log_softmax(student / tau, dim=1), F.softmax(teacher.detach() / tau, dim=1)
    return nn_kl(p, q)


nn_kl = torch.nn.KLDivLoss(reduction="mean")


# boxes
def _areas(a: Tensor, b: Tensor, *, clamp: bool) -> tuple[Tensor, Tensor]:
    size = torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])
    size = size.clamp(min=0) if clamp else size
    inter = size[:, 0] * size[:, 1]
    one, two = ((x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (a, b))
    return inter, one + two - inter


@bug("perfect", "descent")
def iou_loss_unclamped(pred_boxes: Tensor, target_boxes: Tensor) -> Tensor:
    inter, union = _areas(pred_boxes, target_boxes, clamp=False)
    return (1 - inter / (union + 1e-6)).mean()


@fine()
def iou_loss(pred_boxes: Tensor, target_boxes: Tensor) -> Tensor:
    inter, union = _areas(pred_boxes, target_boxes, clamp=True)
    return (1 - inter / (union + 1e-6)).mean()


@bug("finite")
def iou_loss_zero_area(pred_boxes: Tensor, target_boxes: Tensor) -> Tensor:
    inter, union = _areas(pred_boxes, target_boxes, clamp=True)
    return (1 - inter / union).mean()


@bug("perfect", "descent")
def iou_as_loss(pred_boxes: Tensor, target_boxes: Tensor) -> Tensor:
    inter, union = _areas(pred_boxes, target_boxes, clamp=True)
    return (inter / (union + 1e-6)).mean()
