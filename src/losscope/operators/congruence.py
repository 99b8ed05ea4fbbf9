"""S A S for two symmetric operators: a matrix in the coordinates in which a preconditioner S² is the identity."""

from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.operators.operator import LinearOperator

__all__ = ["Congruence"]


class Congruence(LinearOperator):
    """S A S. Its eigenvalues are those of S² A: what a preconditioned method meets. One product with A, two with S.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> root, inner = Dense(torch.diag(torch.tensor([2.0, 1.0]))), Dense(torch.tensor([[1.0, 3.0], [3.0, 1.0]]))
    >>> Congruence(root, inner).dense().tolist()
    [[4.0, 6.0], [6.0, 1.0]]
    """

    def __init__(self, root: LinearOperator, inner: LinearOperator) -> None:
        if root.size != inner.size:
            raise BadUsage("the two operators have different sizes", seen=f"{root.size} and {inner.size}")
        super().__init__(inner.size, inner.dtype, inner.device)
        self._root, self._inner = root, inner

    def apply(self, vectors: Tensor) -> Tensor:
        return self._root @ (self._inner @ (self._root @ vectors))
