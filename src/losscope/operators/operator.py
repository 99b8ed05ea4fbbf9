"""A symmetric matrix that is known by its products with blocks of vectors."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.precision import coarsest, without_autocast
from losscope.operators.twice import differentiable_twice

__all__ = ["LinearOperator"]

_BLOCK = 64  # columns of a dense matrix that are made at once

Index = slice | Tensor | str | Sequence[str]


class LinearOperator(ABC):
    """A symmetric linear map of ℝⁿ. ``op @ V`` takes [n] or [n, k] and gives the same shape.

    ``products`` counts the vectors that it was applied to. Sums and multiples of operators are operators, and so is
    the part of one over some coordinates, ``op.block(index)``.
    """

    def __init__(self, size: int, dtype: torch.dtype, device: torch.device) -> None:
        self.size, self.dtype, self.device = size, dtype, device
        self.products = 0

    @property
    def precision(self) -> torch.dtype:
        """The type that products are rounded to on the way: a coarser one than ``dtype`` under autocast."""
        return self.dtype

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
        if vectors.is_complex():
            raise BadUsage("an operator is applied to real vectors", seen=str(vectors.dtype))
        block = vectors.detach().to(device=self.device, dtype=self.dtype)
        block = block[:, None] if vectors.dim() == 1 else block
        self.products += block.shape[1]
        with torch.enable_grad(), differentiable_twice(), without_autocast():
            result = self.apply(block)
        return result[:, 0] if vectors.dim() == 1 else result

    def __add__(self, other: "LinearOperator") -> "LinearOperator":
        return Sum(self, _operator(other))

    def __sub__(self, other: "LinearOperator") -> "LinearOperator":
        return Sum(self, Scaled(_operator(other), -1.0))

    def __mul__(self, factor: float) -> "LinearOperator":
        return Scaled(self, _number(factor))

    __rmul__ = __mul__

    def __truediv__(self, factor: float) -> "LinearOperator":
        return Scaled(self, 1 / _number(factor))

    def __neg__(self) -> "LinearOperator":
        return Scaled(self, -1.0)

    def identity(self) -> "LinearOperator":
        """The identity of its size: ``op + damping * op.identity()`` is ``op.shifted(damping)``."""
        return Identity(self.size, self.dtype, self.device)

    def shifted(self, shift: float) -> "LinearOperator":
        """The operator plus ``shift`` times the identity: a damped Hessian, say."""
        return Shifted(self, _number(shift))

    def block(self, index: "Index") -> "LinearOperator":
        """The diagonal block over some coordinates, by index; of an objective's matrices also by names.

        A name is that of a parameter or of a module, which stands for all of its parameters; a list takes several.
        """
        return Block(self, index)

    def coordinates(self, names: Sequence[str]) -> Tensor:
        """The coordinates of parameters and modules, by name, in ascending order."""
        raise BadUsage("this operator knows no names of parameters", seen=repr(list(names)))

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


class Identity(LinearOperator):
    """I."""

    def apply(self, vectors: Tensor) -> Tensor:
        return vectors.clone()


class Sum(LinearOperator):
    """A + B."""

    def __init__(self, one: LinearOperator, other: LinearOperator) -> None:
        if one.size != other.size:
            raise BadUsage(
                "operators of different sizes cannot be added", seen=f"{one.size} and {other.size}"
            )
        super().__init__(one.size, torch.promote_types(one.dtype, other.dtype), one.device)
        self._both = one, other

    @property
    def precision(self) -> torch.dtype:
        return coarsest(operator.precision for operator in self._both)

    def apply(self, vectors: Tensor) -> Tensor:
        one, other = self._both
        return (one @ vectors).to(self.dtype) + (other @ vectors).to(self.dtype)

    def coordinates(self, names: Sequence[str]) -> Tensor:
        one, other = self._both
        try:
            return one.coordinates(names)
        except BadUsage:
            return other.coordinates(names)


class Of(LinearOperator):
    """An operator of the same size, made of one other."""

    def __init__(self, inner: LinearOperator, number: float) -> None:
        super().__init__(inner.size, inner.dtype, inner.device)
        self._inner, self._number = inner, number

    @property
    def precision(self) -> torch.dtype:
        return self._inner.precision

    def coordinates(self, names: Sequence[str]) -> Tensor:
        return self._inner.coordinates(names)


class Scaled(Of):
    """c · A."""

    def apply(self, vectors: Tensor) -> Tensor:
        return self._number * (self._inner @ vectors)


class Shifted(Of):
    """A + c · I."""

    def apply(self, vectors: Tensor) -> Tensor:
        return (self._inner @ vectors).add_(vectors, alpha=self._number)


class Block(LinearOperator):
    """Rows and columns of A at some coordinates."""

    def __init__(self, inner: LinearOperator, index: Index) -> None:
        if isinstance(index, str):
            index = [index]
        if not isinstance(index, slice | Tensor):
            index = inner.coordinates(list(index))
        self._index = torch.arange(inner.size, device=inner.device)[index]
        super().__init__(len(self._index), inner.dtype, inner.device)
        self._inner = inner

    @property
    def precision(self) -> torch.dtype:
        return self._inner.precision

    def apply(self, vectors: Tensor) -> Tensor:
        whole = vectors.new_zeros(self._inner.size, vectors.shape[1])
        whole[self._index] = vectors
        return (self._inner @ whole)[self._index]


def _operator(value: Any) -> LinearOperator:
    if not isinstance(value, LinearOperator):
        raise BadUsage(
            "only an operator is added to an operator",
            seen=repr(value),
            remedy="a multiple of the identity by op.shifted(c)",
        )
    return value


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadUsage("an operator is multiplied by a number, or applied with @", seen=repr(value)) from None
