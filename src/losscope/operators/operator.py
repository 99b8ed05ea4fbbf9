"""A symmetric matrix that is known by its products with blocks of vectors."""

from abc import ABC, abstractmethod
from typing import Any, final

import torch
from torch import Tensor

from losscope.core.errors import BadUsage

__all__ = ["LinearOperator"]

_BLOCK = 64  # columns of a dense matrix that are made at once


class LinearOperator(ABC):
    """A symmetric linear map of ℝⁿ. ``op @ V`` takes [n] or [n, k] and gives the same shape.

    ``products`` counts the vectors that it was applied to. Sums and multiples of operators are operators, and so is
    the part of one over some coordinates, ``op.block(index)``.
    """

    def __init__(self, size: int, dtype: torch.dtype, device: torch.device) -> None:
        self.size, self.dtype, self.device = size, dtype, device
        self.products = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.size, self.size

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.size:,} x {self.size:,}, {str(self.dtype).removeprefix('torch.')}>"
        )

    @abstractmethod
    def apply(self, vectors: Tensor) -> Tensor:
        """The product with a block [n, k] of vectors, [n, k]."""

    @final
    def __matmul__(self, vectors: Tensor) -> Tensor:
        if not isinstance(vectors, Tensor) or vectors.dim() not in (1, 2) or vectors.shape[0] != self.size:
            seen = tuple(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
            raise BadUsage(
                f"an operator of size {self.size} is applied to [{self.size}] or [{self.size}, k]",
                seen=str(seen),
            )
        block = vectors.detach().to(device=self.device, dtype=self.dtype)
        block = block[:, None] if vectors.dim() == 1 else block
        self.products += block.shape[1]
        result = self.apply(block)
        return result[:, 0] if vectors.dim() == 1 else result

    def __add__(self, other: "LinearOperator") -> "LinearOperator":
        return Sum(self, other)

    def __mul__(self, factor: float) -> "LinearOperator":
        return Scaled(self, float(factor))

    __rmul__ = __mul__

    def shifted(self, shift: float) -> "LinearOperator":
        """The operator plus ``shift`` times the identity: a damped Hessian, say."""
        return Shifted(self, float(shift))

    def block(self, index: slice | Tensor) -> "LinearOperator":
        """The diagonal block over some coordinates: the parameters of one layer, say."""
        return Block(self, index)

    def dense(self) -> Tensor:
        """The whole matrix [n, n], by n products; for small n."""
        eye = torch.eye(self.size, dtype=self.dtype, device=self.device)
        return torch.cat([self @ eye[:, i : i + _BLOCK] for i in range(0, self.size, _BLOCK)], 1)

    def to_scipy(self) -> Any:
        """For ``scipy.sparse.linalg``: a ``LinearOperator`` on NumPy arrays."""
        from scipy.sparse import linalg  # lazy: 0.2 s

        def product(array: Any) -> Any:
            return (self @ torch.as_tensor(array)).cpu().numpy()

        made: Any = linalg.LinearOperator  # makes an instance of another class, which confuses type checkers
        kind = torch.empty(0, dtype=self.dtype).numpy().dtype
        return made(self.shape, matvec=product, matmat=product, rmatvec=product, dtype=kind)


class Sum(LinearOperator):
    """A + B."""

    def __init__(self, one: LinearOperator, other: LinearOperator) -> None:
        if one.size != other.size:
            raise BadUsage(
                "operators of different sizes cannot be added", seen=f"{one.size} and {other.size}"
            )
        super().__init__(one.size, torch.promote_types(one.dtype, other.dtype), one.device)
        self._both = one, other

    def apply(self, vectors: Tensor) -> Tensor:
        one, other = self._both
        return (one @ vectors).to(self.dtype) + (other @ vectors).to(self.dtype)


class Scaled(LinearOperator):
    """c · A."""

    def __init__(self, inner: LinearOperator, factor: float) -> None:
        super().__init__(inner.size, inner.dtype, inner.device)
        self._inner, self._factor = inner, factor

    def apply(self, vectors: Tensor) -> Tensor:
        return self._factor * (self._inner @ vectors)


class Shifted(LinearOperator):
    """A + c · I."""

    def __init__(self, inner: LinearOperator, shift: float) -> None:
        super().__init__(inner.size, inner.dtype, inner.device)
        self._inner, self._shift = inner, shift

    def apply(self, vectors: Tensor) -> Tensor:
        return (self._inner @ vectors).add_(vectors, alpha=self._shift)


class Block(LinearOperator):
    """Rows and columns of A at some coordinates."""

    def __init__(self, inner: LinearOperator, index: slice | Tensor) -> None:
        self._index = torch.arange(inner.size, device=inner.device)[index]
        super().__init__(len(self._index), inner.dtype, inner.device)
        self._inner = inner

    def apply(self, vectors: Tensor) -> Tensor:
        whole = vectors.new_zeros(self._inner.size, vectors.shape[1])
        whole[self._index] = vectors
        return (self._inner @ whole)[self._index]
