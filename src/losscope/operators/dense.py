"""A matrix that is at hand, as an operator: for tests, small problems and comparisons."""

from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.operators.operator import LinearOperator

__all__ = ["Dense"]


class Dense(LinearOperator):
    """A symmetric matrix [n, n]."""

    def __init__(self, matrix: Tensor) -> None:
        if matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1]:
            raise BadUsage("a dense operator is a square matrix", seen=f"shape {tuple(matrix.shape)}")
        super().__init__(len(matrix), matrix.dtype, matrix.device)
        self.matrix = matrix

    def apply(self, vectors: Tensor) -> Tensor:
        return self.matrix @ vectors
