"""Sᵀ A S: a matrix in the coordinates of a perturbation, or in which a preconditioner is the identity."""

from collections.abc import Callable

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.operators.operator import LinearOperator
from losscope.operators.perturbation import Perturbation

__all__ = ["Congruence"]


class Congruence(LinearOperator):
    """Sᵀ A S, for a symmetric operator S, or for the root S of a ``Perturbation`` with covariance Σ = SSᵀ.

    Its eigenvalues are those of Σ A, what a method meets that is preconditioned by Σ, and its trace is tr(A Σ). Cost:
    one product with A, one with S and one with its transpose.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> inner, root = Dense(torch.tensor([[1.0, 3.0], [3.0, 1.0]])), Dense(torch.diag(torch.tensor([2.0, 1.0])))
    >>> Congruence(inner, root).dense().tolist()
    [[4.0, 6.0], [6.0, 1.0]]
    """

    def __init__(self, inner: LinearOperator, root: LinearOperator) -> None:
        if inner.size != root.size:
            raise BadUsage(
                "a matrix and the coordinates it is seen in are of different sizes",
                seen=f"{inner.size} and {root.size}",
            )
        self._inner = inner
        self._root: Callable[[Tensor], Tensor]
        if isinstance(root, Perturbation):
            self._root, self._transpose, latent = root.root, root.transpose, root.latent
        else:
            self._root = self._transpose = root.__matmul__
            latent = root.size
        super().__init__(latent, inner.dtype, inner.device)

    @property
    def precision(self) -> torch.dtype:
        return self._inner.precision

    def apply(self, vectors: Tensor) -> Tensor:
        return self._transpose(self._inner @ self._root(vectors))
