"""Diagonal blocks of a structured matrix: dense, diagonal, or with eigenvectors that are a Kronecker product.

Each is positive semi-definite, of ``size`` n, and is applied to columns [n, k]. A block over a weight [p, q] and a bias
[p] takes them as [p, q + 1]: the bias is the weight of an input that is always 1.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from losscope.operators.structured.use import Layout


class Block(ABC):
    """``what`` says in words what it is."""

    def __init__(self, size: int, what: str) -> None:
        self.size, self.what = size, what

    @abstractmethod
    def apply(self, columns: Tensor) -> Tensor:
        """B V, for V [n, k]."""

    @abstractmethod
    def eigenvalues(self) -> Tensor:
        """All n eigenvalues, in no order."""

    def trace(self) -> float:
        """The trace."""
        return float(self.eigenvalues().double().sum())

    @abstractmethod
    def function(self, of: Callable[[Tensor], Tensor]) -> "Block":
        """The block with the same eigenvectors and ``of`` of the eigenvalues."""


class Diagonal(Block):
    """diag(d)."""

    def __init__(self, entries: Tensor, what: str = "diagonal") -> None:
        super().__init__(len(entries), what)
        self.entries = entries

    def apply(self, columns: Tensor) -> Tensor:
        return self.entries[:, None] * columns

    def eigenvalues(self) -> Tensor:
        return self.entries

    def function(self, of: Callable[[Tensor], Tensor]) -> Block:
        return Diagonal(of(self.entries), self.what)


class Exact(Block):
    """A matrix [n, n] of its own."""

    def __init__(self, matrix: Tensor, what: str = "exact block") -> None:
        super().__init__(len(matrix), what)
        self.matrix = matrix

    @cached_property
    def _pairs(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.matrix)
        return values.clamp_min(0), vectors

    def apply(self, columns: Tensor) -> Tensor:
        return self.matrix @ columns

    def eigenvalues(self) -> Tensor:
        return self._pairs[0]

    def trace(self) -> float:
        return float(self.matrix.diagonal().double().sum())

    def function(self, of: Callable[[Tensor], Tensor]) -> Block:
        values, vectors = self._pairs
        return Exact((vectors * of(values)) @ vectors.T, self.what)


class Weight:
    """How the columns over a weight, and its bias, are matrices [k, groups, outputs, inputs]."""

    def __init__(self, layout: Layout, with_bias: bool) -> None:
        self.layout, self.with_bias = layout, with_bias

    @property
    def size(self) -> int:
        """Numbers in both."""
        shape = self.layout
        return shape.groups * shape.outputs * (shape.inputs + self.with_bias)

    def matrices(self, columns: Tensor) -> Tensor:
        """[n, k] as [k, groups, outputs, inputs (+ 1)]."""
        g, o, i = self.layout.groups, self.layout.outputs, self.layout.inputs
        weight, bias = columns[: g * o * i].T, columns[g * o * i :].T
        found = weight.reshape(-1, g, i, o).mT if self.layout.flipped else weight.reshape(-1, g, o, i)
        return torch.cat([found, bias.reshape(-1, g, o, 1)], 3) if self.with_bias else found

    def columns(self, matrices: Tensor) -> Tensor:
        """The reverse."""
        k = len(matrices)
        weight = matrices[..., : self.layout.inputs]
        flat = (weight.mT if self.layout.flipped else weight).reshape(k, -1)
        if self.with_bias:
            flat = torch.cat([flat, matrices[..., -1].reshape(k, -1)], 1)
        return flat.T


class Kronecker(Block):
    """``outputs`` ⊗ ``inputs``: V ↦ B V A for factors [groups, d, d], or diagonals [groups, d] of too large ones."""

    def __init__(self, outputs: Tensor, inputs: Tensor, weight: Weight, what: str) -> None:
        super().__init__(weight.size, what)
        self.outputs, self.inputs, self.weight = outputs, inputs, weight

    def apply(self, columns: Tensor) -> Tensor:
        found = self.weight.matrices(columns)
        return self.weight.columns(_right(_left(self.outputs, found), self.inputs))

    @cached_property
    def eigen(self) -> "Eigen":
        """The same block by its eigenvectors. d³ operations for each factor."""
        one, other = bases(self.outputs), bases(self.inputs)
        values = one[0][:, :, None] * other[0][:, None, :]
        return Eigen(one[1], other[1], values, self.weight, self.what)

    def eigenvalues(self) -> Tensor:
        return self.eigen.eigenvalues()

    def trace(self) -> float:
        """Σ_groups tr B tr A."""
        diagonals = [f if f.dim() == 2 else f.diagonal(0, 1, 2) for f in (self.outputs, self.inputs)]
        one, other = (d.double().sum(1) for d in diagonals)
        return float((one * other).sum())

    def function(self, of: Callable[[Tensor], Tensor]) -> Block:
        return self.eigen.function(of)


class Eigen(Block):
    """Eigenvectors ``outputs`` ⊗ ``inputs`` (``None``: unit vectors), eigenvalues [groups, outputs, inputs]."""

    def __init__(
        self, outputs: Tensor | None, inputs: Tensor | None, values: Tensor, weight: Weight, what: str
    ) -> None:
        super().__init__(weight.size, what)
        self.outputs, self.inputs, self.values, self.weight = outputs, inputs, values, weight

    def apply(self, columns: Tensor) -> Tensor:
        found = project(self.weight.matrices(columns), self.outputs, self.inputs) * self.values
        if self.outputs is not None:
            found = self.outputs @ found
        if self.inputs is not None:
            found = found @ self.inputs.mT
        return self.weight.columns(found)

    def eigenvalues(self) -> Tensor:
        return self.values.reshape(-1)

    def function(self, of: Callable[[Tensor], Tensor]) -> Block:
        return Eigen(self.outputs, self.inputs, of(self.values), self.weight, self.what)


def bases(factor: Tensor) -> tuple[Tensor, Tensor | None]:
    """Eigenvalues [groups, d], without what rounding makes negative, and eigenvectors [groups, d, d]."""
    if factor.dim() == 2:
        return factor, None
    values, vectors = torch.linalg.eigh(factor)
    return values.clamp_min(0), vectors


def project(matrices: Tensor, outputs: Tensor | None, inputs: Tensor | None) -> Tensor:
    """Q_outputsᵀ V Q_inputs."""
    if outputs is not None:
        matrices = outputs.mT @ matrices
    return matrices if inputs is None else matrices @ inputs


def _left(factor: Tensor, matrices: Tensor) -> Tensor:
    return factor[..., None] * matrices if factor.dim() == 2 else factor @ matrices


def _right(matrices: Tensor, factor: Tensor) -> Tensor:
    return matrices * factor[:, None, :] if factor.dim() == 2 else matrices @ factor
