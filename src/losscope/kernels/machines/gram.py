"""Gram matrices as what kernel machines need of them: products with K, and solutions of (K + c I) x = b."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.kernels.functions.kernel import Kernel

LARGEST = 10_000
"""Rows of a Gram matrix that is kept whole: 800 MB, and as much for its factor."""


class Gram(ABC):
    """K [R, R] in float64, positive semi-definite."""

    rows: int

    @abstractmethod
    def product(self, vectors: Tensor) -> Tensor:
        """K V, for V [R, k]."""

    @abstractmethod
    def shifted(self, shift: float) -> "Shifted":
        """K + c I, factorised."""

    @abstractmethod
    def trace(self) -> float:
        """tr K."""


class Shifted(ABC):
    """(K + c I)⁻¹."""

    @abstractmethod
    def solve(self, vectors: Tensor) -> Tensor:
        """(K + c I)⁻¹ V, for V [R, k]."""

    @abstractmethod
    def degrees_of_freedom(self) -> float:
        """tr K (K + c I)⁻¹."""


class DenseGram(Gram):
    """A matrix that is at hand. ``rounding`` is the relative error of its entries.

    Raises ``BadUsage`` where the matrix is not square, finite, symmetric and positive semi-definite up to rounding:
    R · rounding · ‖K‖_∞. Cost: R³/3 for that, and again for each shift.
    """

    def __init__(self, matrix: Tensor, rounding: float = torch.finfo(torch.float64).eps) -> None:
        self.matrix = symmetric(matrix, rounding)
        self.rows = len(self.matrix)
        self._rounding = rounding * float(self.matrix.abs().sum(1).max())
        self.tolerance = self.rows * self._rounding
        lifted = self.matrix + torch.diag(torch.full_like(self.matrix[0], self.tolerance))
        if int(torch.linalg.cholesky_ex(lifted)[1]):
            smallest = float(torch.linalg.eigvalsh(self.matrix)[0]) if self.rows <= 2000 else None
            raise BadUsage(
                "the kernel is not positive semi-definite",
                seen="a negative eigenvalue" + ("" if smallest is None else f", {smallest:.3g}"),
                remedy="a kernel is a scalar product of features: check its formula",
            )

    def product(self, vectors: Tensor) -> Tensor:
        return self.matrix @ vectors

    def shifted(self, shift: float) -> "_DenseShifted":
        if shift < self._rounding:
            raise _below_rounding(shift, self.matrix)
        return _DenseShifted(self.matrix, shift)

    def trace(self) -> float:
        return float(self.matrix.diagonal().sum())


class _DenseShifted(Shifted):
    def __init__(self, matrix: Tensor, shift: float) -> None:
        self.shift = shift
        lifted = matrix + torch.diag(torch.full_like(matrix[0], shift))
        self.factor, failed = torch.linalg.cholesky_ex(lifted)
        if int(failed):
            raise _below_rounding(shift, matrix)

    def solve(self, vectors: Tensor) -> Tensor:
        return torch.cholesky_solve(vectors, self.factor)

    def inverse_diagonal(self) -> Tensor:
        """Diagonal of (K + c I)⁻¹ [R]; R³/3."""
        eye = torch.eye(len(self.factor), dtype=self.factor.dtype, device=self.factor.device)
        return torch.linalg.solve_triangular(self.factor, eye, upper=False).square().sum(0)

    def degrees_of_freedom(self) -> float:
        return len(self.factor) - self.shift * float(self.inverse_diagonal().sum())


def _below_rounding(shift: float, matrix: Tensor) -> BadUsage:
    return BadUsage(
        "the penalty is below the rounding errors of the kernel",
        seen=f"n λ = {shift:.3g}, a diagonal up to {float(matrix.diagonal().max()):.3g}",
        remedy="take a larger penalty, or a kernel in float64",
    )


class LowRankGram(Gram):
    """K = Φ Φᵀ with features Φ [R, m]. Cost: R·m² for each shift, R·m for a product."""

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self.rows = len(features)

    def product(self, vectors: Tensor) -> Tensor:
        return self.features @ (self.features.T @ vectors)

    def shifted(self, shift: float) -> "_LowRankShifted":
        return _LowRankShifted(self.features, shift)

    def trace(self) -> float:
        return float(self.features.square().sum())


class _LowRankShifted(Shifted):
    """By Woodbury's formula: (Φ Φᵀ + c I)⁻¹ = (I - Φ (Φᵀ Φ + c I)⁻¹ Φᵀ) / c."""

    def __init__(self, features: Tensor, shift: float) -> None:
        self.features, self.shift = features, shift
        self.inner = _DenseShifted(features.T @ features, shift)

    def solve(self, vectors: Tensor) -> Tensor:
        found = (vectors - self.features @ self.inner.solve(self.features.T @ vectors)) / self.shift
        rest = vectors - self.features @ (self.features.T @ found) - self.shift * found
        return found + (rest - self.features @ self.inner.solve(self.features.T @ rest)) / self.shift

    def degrees_of_freedom(self) -> float:
        return self.inner.degrees_of_freedom()


def gram_of(kernel: Kernel | Tensor, inputs: Any) -> DenseGram:
    """The Gram matrix of a kernel on inputs, or one that is given; its rounding is that of its type."""
    if isinstance(kernel, Kernel):
        size = getattr(inputs, "shape", None)
        if size and size[0] > LARGEST:
            raise BadUsage(
                "this Gram matrix is too large to be kept whole",
                seen=f"{size[0]:,} inputs",
                remedy=f"give at most {LARGEST:,}; kernel_machine takes landmarks=1000",
            )
        return DenseGram(kernel(inputs), kernel.rounding)
    try:
        matrix = torch.as_tensor(kernel)
    except (TypeError, ValueError, RuntimeError):
        raise BadUsage("a kernel is a Kernel or its matrix", seen=type(kernel).__name__) from None
    return DenseGram(matrix, torch.finfo(matrix.dtype if matrix.is_floating_point() else torch.float64).eps)


def symmetric(matrix: Tensor, rounding: float) -> Tensor:
    """A Gram matrix in float64, symmetrised. Raises ``BadUsage`` where it is none."""
    if (
        not isinstance(matrix, Tensor)
        or matrix.dim() != 2
        or matrix.shape[0] != matrix.shape[1]
        or not len(matrix)
    ):
        seen = tuple(matrix.shape) if isinstance(matrix, Tensor) else type(matrix).__name__
        raise BadUsage("a Gram matrix is square", seen=str(seen))
    if len(matrix) > LARGEST:
        raise BadUsage(
            "this Gram matrix is too large to be kept whole",
            seen=f"{len(matrix):,} rows",
            remedy=f"give at most {LARGEST:,}, or a kernel with landmarks=1000",
        )
    found = matrix.detach().double()
    if not bool(found.isfinite().all()):
        raise BadUsage(
            "the kernel is not a finite number everywhere", seen=f"{int((~found.isfinite()).sum())} entries"
        )
    apart, size = float((found - found.T).abs().max()), float(found.abs().max())
    if apart > len(found) ** 0.5 * 64 * rounding * size:
        raise BadUsage("a Gram matrix is symmetric", seen=f"entries that differ by {apart:.3g}")
    return (found + found.T) / 2
