"""Trainings of a second or less, watched in this process, with the windows that were kept of them."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from losscope.watching.assembly import assemble


class Unwritten(list):
    """Series that nobody reads."""

    def add(self, step: int, value: float) -> None:
        pass


class MemoryRecorder:
    """Writes nothing."""

    def series(self, signal: Any, label: str = "") -> Any:
        return Unwritten()

    def event(self, kind: str, /, **fields: Any) -> None:
        pass


def kept(train: Callable[[], Any]) -> Any:
    """The watch's window after ``train()``."""
    watch, hooks = assemble(MemoryRecorder(), share=1e9)
    watch.deep.window.wanted = True
    hooks.install()
    try:
        train()
    finally:
        watch.finish()
        hooks.remove()
    return watch.deep.window


def classes(
    *,
    steps: int = 60,
    clears: bool = True,
    clip: float | None = None,
    net: Callable[[], nn.Module] | None = None,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
    random: bool = False,
    make: Callable[[Any], Any] = lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
) -> Callable[[], nn.Module]:
    """Five classes of twenty features in batches of 32; with ``random`` the labels have nothing to do with them."""

    def train() -> nn.Module:
        torch.manual_seed(0)
        x = torch.randn(512, 20)
        y = torch.randint(5, (512,)) if random else (x @ torch.randn(20, 5)).argmax(1)
        model = (
            net() if net else nn.Sequential(nn.Linear(20, 32), nn.Dropout(0.1), nn.ReLU(), nn.Linear(32, 5))
        )
        optimizer = make(model.parameters())
        for step in range(steps):
            i = slice(32 * step % 512, 32 * step % 512 + 32)
            if clears:
                optimizer.zero_grad()
            loss(model(x[i]), y[i]).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
        return model

    return train


class Blind(nn.Module):
    """Whatever it is given, it answers nought: no learning rate is the cause."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(20, 5, bias=False)

    def forward(self, x: Any) -> Any:
        return self.layer(0 * x)


def layers(*more: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 5), *more)
