"""Losses that misbehave, named by the tests of the audit as ``badly_behaved:NAME``."""

import os
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def good(input: Tensor, target: Tensor) -> Tensor:
    return F.huber_loss(input, target)


def returns_none(input: Tensor, target: Tensor) -> None:
    F.mse_loss(input, target)


def returns_number(input: Tensor, target: Tensor) -> float:
    return 0.5


def always_raises(input: Tensor, target: Tensor) -> Tensor:
    raise RuntimeError("this loss needs\na lot of things")


def needs_gpu(input: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(input.cuda(), target.cuda())


def hangs(input: Tensor, target: Tensor) -> Tensor:
    while True:
        time.sleep(0.1)


def hangs_on_large(input: Tensor, target: Tensor) -> Tensor:
    if float(input.detach().abs().max()) > 1000:
        time.sleep(1000)
    return F.l1_loss(input, target)


def allocates(input: Tensor, target: Tensor) -> Tensor:
    if len(input) > 100:
        torch.ones(1 << 38)
    return F.l1_loss(input, target)


def exits(input: Tensor, target: Tensor) -> Tensor:
    if float(input.detach().abs().max()) > 1000:
        os._exit(7)
    return F.l1_loss(input, target)


def talks(input: Tensor, target: Tensor) -> Tensor:
    print("talking", flush=True)  # noqa: T201
    return F.l1_loss(input, target)


def wrong_broadcast(input: Tensor, target: Tensor) -> Tensor:
    return (input - target).abs().mean()


class NeedsOption(nn.Module):
    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        ce = F.cross_entropy(logits, labels, reduction="none")
        return ((1 - (-ce).exp()) ** self.gamma * ce).mean()


number = 3


def always_nan(input: Tensor, target: Tensor) -> Tensor:
    return ((input - target) * float("nan")).mean()


def detached(input: Tensor, target: Tensor) -> Tensor:
    return (input - target).square().mean().detach()


def forks(input: Tensor, target: Tensor) -> Tensor:
    os.fork()
    return F.l1_loss(input, target)


def helped(input: Tensor, target: Tensor) -> Tensor:
    """A helper process of its own, which does not come back, is nobody's business."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return F.l1_loss(input, target)


def interrupts(input: Tensor, target: Tensor) -> Tensor:
    raise KeyboardInterrupt


def interrupts_on_large(input: Tensor, target: Tensor) -> Tensor:
    if float(input.detach().abs().max()) > 1000:
        raise KeyboardInterrupt
    return F.l1_loss(input, target)


def five(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor, g: Tensor) -> Tensor:
    return (a - b).mean()
