"""Less to look at: a bounded, evenly spaced part of a large tensor, and some of many looks."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

_FIRST = 12
LIMIT = 65536  # elements kept of one tensor; smaller tensors are kept whole


def part(tensor: Tensor) -> Tensor:
    """A private copy of at most ``LIMIT`` elements, every k-th one, as a flat float32/float64 tensor."""
    flat = tensor.detach()
    flat = flat.reshape(-1) if flat.is_contiguous() else flat.flatten()
    stride = -(-flat.numel() // LIMIT) or 1
    kept = flat[::stride]
    return kept.to(torch.float32) if kept.dtype in (torch.float16, torch.bfloat16) else kept.clone()


def part_of_gradient(parameter: Tensor) -> Tensor | None:
    """The :func:`part` of a parameter's gradient; ``None`` without one, and where it is sparse or complex."""
    gradient = parameter.grad
    if gradient is None or gradient.is_sparse or gradient.is_complex():
        return None
    return part(gradient)


@dataclass(slots=True)
class Turns:
    """Which looks are taken of each stream: the first twelve, then one in ``every``."""

    every: int
    _seen: dict[str, int] = field(default_factory=dict)

    def mine(self, stream: str) -> bool:
        """A look is offered; whether to take it."""
        seen = self._seen[stream] = self._seen.get(stream, 0) + 1
        return seen <= _FIRST or seen % self.every == 0
