"""A bounded, evenly spaced part of a large tensor: enough for a ratio of norms or a cosine."""

import torch
from torch import Tensor

LIMIT = 65536  # elements kept of one tensor; smaller tensors are kept whole


def part(tensor: Tensor) -> Tensor:
    """A private copy of at most ``LIMIT`` elements, every k-th one, as a flat float32/float64 tensor."""
    flat = tensor.detach()
    flat = flat.reshape(-1) if flat.is_contiguous() else flat.flatten()
    stride = -(-flat.numel() // LIMIT) or 1
    kept = flat[::stride]
    return kept.to(torch.float32) if kept.dtype in (torch.float16, torch.bfloat16) else kept.clone()
