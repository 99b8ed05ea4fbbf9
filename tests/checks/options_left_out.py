"""Losses whose options a caller may forget, or give wrongly; named by tests as ``options_left_out:NAME``."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def scaled(a: Tensor, b: Tensor, gamma: float) -> Tensor:
    return F.cross_entropy(a, b) * gamma


def focal(logits: Tensor, target: Tensor, alpha: float, gamma: float) -> Tensor:
    each = F.cross_entropy(logits, target, reduction="none")
    return (alpha * (1 - torch.exp(-each)) ** gamma * each).mean()


def of_classes(logits: Tensor, target: Tensor, num_classes: int) -> Tensor:
    return -(F.one_hot(target, num_classes) * logits.log_softmax(1)).sum(1).mean()


def unnamed(a: Tensor, b: Tensor, foo: float) -> Tensor:
    return F.cross_entropy(a, b) * foo


def option_first(gamma: float, pred: Tensor, target: Tensor) -> Tensor:
    return (pred - target).abs().pow(gamma).mean()


def quantile_error(y_pred: Tensor, y_true: Tensor, quantile: float) -> Tensor:
    """Fed with a tensor, it is smallest where another task says."""
    error = y_true - y_pred
    return torch.maximum(quantile * error, (quantile - 1) * error).mean()


def weighted(pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return (weight[:, None] * (pred - target) ** 2).mean()


class Focal(nn.Module):
    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        each = F.cross_entropy(logits, target, reduction="none")
        return ((1 - torch.exp(-each)) ** self.gamma * each).mean()


class NoForward(nn.Module):
    pass


class OnlyCall(nn.Module):
    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(pred, target)


class TakesNothing:
    def __call__(self) -> int:
        return 1
