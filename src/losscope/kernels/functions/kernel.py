"""What a kernel is: a positive semi-definite function of two inputs, as a matrix over two sets of them."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage

__all__ = ["Kernel"]


class Kernel(ABC):
    """``kernel(x)`` is the Gram matrix [n, n] of inputs, ``kernel(x, z)`` the matrix [n, m] between two sets.

    Matrices are in float64. ``rounding`` is the relative error of an entry: more than that below zero, an eigenvalue
    is negative.
    """

    rounding: float = torch.finfo(torch.float64).eps

    @abstractmethod
    def __call__(self, one: Any, other: Any = None) -> Tensor:
        """k(x_i, z_j) [n, m]; without ``other`` symmetric, z = x."""

    @abstractmethod
    def diagonal(self, inputs: Any) -> Tensor:
        """k(x_i, x_i) [n]."""


def points(inputs: Any) -> Tensor:
    """Inputs as vectors [n, d] in float64, every further axis flattened; a vector [n] is n points of one number.

    Raises ``BadUsage`` where there are none, or one is not finite.
    """
    try:
        found = torch.as_tensor(inputs).detach()
    except (TypeError, ValueError, RuntimeError):
        raise BadUsage("the inputs of a kernel are an array of numbers", seen=type(inputs).__name__) from None
    if found.dim() < 1 or found.numel() == 0:
        raise BadUsage("a kernel needs at least one input", seen=f"shape {tuple(found.shape)}")
    if found.is_complex():
        raise BadUsage("the inputs of a kernel are real numbers", seen=str(found.dtype))
    found = found.double().reshape(len(found), -1)
    if not bool(found.isfinite().all()):
        rows = (~found.isfinite()).any(1).nonzero()[:, 0]
        raise BadUsage(
            "an input is not a finite number", seen=f"{len(rows)} rows, the first is {int(rows[0])}"
        )
    return found


def pair(one: Any, other: Any) -> tuple[Tensor, Tensor]:
    """Two sets of points of the same dimension; the second is the first where ``other`` is None."""
    x = points(one)
    z = x if other is None else points(other)
    if x.shape[1] != z.shape[1]:
        raise BadUsage(
            "the two sets of inputs differ in length", seen=f"{x.shape[1]} and {z.shape[1]} numbers"
        )
    return x, z


def positive(value: float, what: str) -> float:
    """A finite number above 0."""
    if not (isinstance(value, int | float) and 0 < value < float("inf")):
        raise BadUsage(f"{what} is a number above 0", seen=repr(value))
    return float(value)


def not_negative(value: float, what: str) -> float:
    """A finite number from 0."""
    if not (isinstance(value, int | float) and 0 <= value < float("inf")):
        raise BadUsage(f"{what} is a number from 0", seen=repr(value))
    return float(value)
