"""Small training problems with steps of three lengths."""

import torch
import torch.nn.functional as F
from torch import nn

WORKLOADS = {"0.3ms": (32, 32, 0), "3ms": (128, 128, 2), "30ms": (256, 256, 4)}
"""Batch, width and depth; the name is about the time of a step on one core of 2020."""


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = (
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


def workload(name: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A model for ten classes, with one batch of inputs and targets."""
    batch, width, depth = WORKLOADS[name]
    model = nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), *(Block(width) for _ in range(depth)), nn.Linear(width, 10)
    )
    return model, torch.randn(batch, 64), torch.randint(0, 10, (batch,))
