"""Small questions about constant tensors in a graph. Each may wait for the device."""

import torch
from torch import Tensor


def product(weights: tuple[Tensor, ...]) -> Tensor | None:
    """The product of constant factors, ``None`` for none."""
    if not weights:
        return None
    result = weights[0]
    for weight in weights[1:]:
        result = result * weight
    return result


def is_binary(tensor: Tensor) -> bool:
    """Whether all elements are 0 or 1."""
    return tensor.dtype is torch.bool or bool(((tensor == 0) | (tensor == 1)).all())


def has_both_signs(tensor: Tensor) -> bool:
    return bool((tensor > 0).any() & (tensor < 0).any())


def sums_to_one(tensor: Tensor, dim: int) -> Tensor:
    """For each row along ``dim``: is it a distribution?"""
    return (tensor >= 0).all(dim) & ((tensor.sum(dim) - 1).abs() < 1e-3)


def is_sign(tensor: Tensor) -> bool:
    """Whether all elements are -1 or 1."""
    return bool((tensor.abs() == 1).all())
