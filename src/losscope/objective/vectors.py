"""Parameters as one vector of numbers, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor


def flat(tensors: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensor:
    """One vector [P] of ``tensors``; zeros of the size of ``like`` where one is ``None``."""
    parts = [torch.zeros_like(p) if t is None else t.detach() for t, p in zip(tensors, like, strict=True)]
    dense = [
        part.to_dense() if part.is_sparse else part for part in parts
    ]  # of an embedding with sparse=True
    return torch.cat([part.reshape(-1) for part in dense])


def parts(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views into a vector [P], or [P, k] as [k, …], in the shapes and types of ``like``."""
    found, start = [], 0
    for p in like:
        piece = vector[start : start + p.numel()].to(p.dtype)
        found.append(piece.view(p.shape) if vector.dim() == 1 else piece.T.reshape(-1, *p.shape))
        start += p.numel()
    return found
