"""Losses that misbehave, named by the tests of the audit as ``badly_behaved:NAME``."""

import os
import random
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
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


def says_that_it_hangs(input: Tensor, target: Tensor) -> Tensor:
    Path(os.environ["BADLY_BEHAVED"]).touch()
    return hangs(input, target)


def _helper(*, session: bool) -> None:
    """A process that writes its id and sleeps."""
    place = os.environ["BADLY_BEHAVED"]
    if Path(place).exists():
        return
    line = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(1000)"
    subprocess.Popen([sys.executable, "-S", "-c", line, place], start_new_session=session)
    while not (Path(place).exists() and Path(place).read_text()):
        time.sleep(0.01)


def starts_a_helper(input: Tensor, target: Tensor) -> Tensor:
    _helper(session=False)
    return F.l1_loss(input, target)


def starts_a_daemon(input: Tensor, target: Tensor) -> Tensor:
    _helper(session=True)
    return F.l1_loss(input, target)


def starts_a_daemon_and_hangs(input: Tensor, target: Tensor) -> Tensor:
    _helper(session=True)
    return hangs(input, target)


def starts_a_daemon_and_dies(input: Tensor, target: Tensor) -> Tensor:
    _helper(session=True)
    os._exit(5)


def signals_its_parent(input: Tensor, target: Tensor) -> Tensor:
    os.kill(os.getppid(), 15)
    return F.l1_loss(input, target)


def needs_all_memory(input: Tensor, target: Tensor) -> list[int]:
    return [0] * 10**12


def sets_device(input: Tensor, target: Tensor) -> Tensor:
    torch.set_default_device("meta")
    return F.l1_loss(input, target)


def sets_dtype(input: Tensor, target: Tensor) -> Tensor:
    torch.set_default_dtype(torch.float64)
    return F.l1_loss(input, target)


def sets_anomaly(input: Tensor, target: Tensor) -> Tensor:
    torch.autograd.set_detect_anomaly(True)
    return F.l1_loss(input, target)


def sets_deterministic(input: Tensor, target: Tensor) -> Tensor:
    torch.use_deterministic_algorithms(True)
    return F.l1_loss(input, target)


def sets_threads(input: Tensor, target: Tensor) -> Tensor:
    torch.set_num_threads(torch.get_num_threads() + 1)
    return F.l1_loss(input, target)


def sets_grad_mode(input: Tensor, target: Tensor) -> Tensor:
    loss = F.l1_loss(input, target)
    torch.set_grad_enabled(False)
    return loss


def sets_filters(input: Tensor, target: Tensor) -> Tensor:
    warnings.simplefilter("ignore")
    return F.l1_loss(input, target)


def sets_folder(input: Tensor, target: Tensor) -> Tensor:
    os.chdir("/")
    return F.l1_loss(input, target)


def sets_environment(input: Tensor, target: Tensor) -> Tensor:
    os.environ["BADLY_BEHAVED_VARIABLE"] = "1"
    return F.l1_loss(input, target)


def sets_numpy_seed(input: Tensor, target: Tensor) -> Tensor:
    np.random.seed(0)
    return F.l1_loss(input, target)


def sets_python_seed(input: Tensor, target: Tensor) -> Tensor:
    random.seed(0)
    return F.l1_loss(input, target)


def returns_meta(input: Tensor, target: Tensor) -> Tensor:
    return torch.zeros((), device="meta", requires_grad=True)


class KeepsWeights(nn.Module):
    def __init__(self, weight) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, weight=self.weight)


class RegistersWeights(nn.Module):
    def __init__(self, weight: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, weight=self.weight)


def weighted(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    return F.cross_entropy(logits, labels, weight=weight)


def makes_a_module() -> nn.Module:
    return nn.SmoothL1Loss()


def makes_with_options(beta: float = 1.0) -> nn.Module:
    return nn.SmoothL1Loss(beta=beta)


def makes_a_closure():
    def loss(input: Tensor, target: Tensor) -> Tensor:
        return 3 * (input - target).abs().mean()

    return loss


def makes_nothing() -> int:
    return 3
