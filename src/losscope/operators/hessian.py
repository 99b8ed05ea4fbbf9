"""The Hessian ∇²L(θ) of an objective, by differentiating its gradient's graph once more.

A product costs one pass backward through the gradient's graph: about 1.5 to 3 gradients (Pearlmutter, 1994,
doi:10.1162/neco.1994.6.1.147; here reverse over reverse). The graph is made once and kept for all products while it
fits in ``memory`` bytes and the parameters stay as they are; otherwise it is made again for every block of vectors, so
that blocks are cheaper than single vectors. Forward mode is not used: nested, it is silently wrong through layer norm.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from losscope.objective.objective import Objective
from losscope.objective.vectors import flat, parts
from losscope.operators.graph_memory import saved_bytes
from losscope.operators.operator import LinearOperator

__all__ = ["Hessian"]

MEMORY = 2 << 30
"""Bytes of saved tensors that are kept between products."""


class Hessian(LinearOperator):
    """∇²L of an objective at its model's own parameters, [P, P], in their precision.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False).double()
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double()
    >>> objective = Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]), penalty=1.0)
    >>> Hessian(objective).dense()
    tensor([[2., 0.],
            [0., 5.]], dtype=torch.float64)
    """

    def __init__(self, objective: Objective, *, memory: int = MEMORY) -> None:
        first = objective.parameters[0]
        super().__init__(objective.size, first.dtype, first.device)
        self.objective, self.memory = objective, memory
        self._kept: list[tuple[float, Sequence[Tensor]]] = []
        self._versions: tuple[int, ...] = ()
        self._fits = True

    def apply(self, vectors: Tensor) -> Tensor:
        leaves = self.objective.parameters
        total = torch.zeros_like(vectors)
        columns = [parts(vectors[:, j].contiguous(), leaves) for j in range(vectors.shape[1])]
        for coefficient, gradient in self._gradients():
            known = [i for i, g in enumerate(gradient) if g.requires_grad]
            if not known:
                continue
            for j, column in enumerate(columns):
                found = torch.autograd.grad(
                    [gradient[i] for i in known],
                    leaves,
                    [column[i] for i in known],
                    retain_graph=True,
                    allow_unused=True,
                )
                total[:, j].add_(flat(found, leaves), alpha=coefficient)
        return total

    def _gradients(self) -> Iterator[tuple[float, Sequence[Tensor]]]:
        """Coefficient and gradient with its graph, of every piece of the objective."""
        versions = tuple(p._version for p in self.objective.parameters)
        if versions != self._versions:
            self._kept, self._versions, self._fits = [], versions, True
        if self._kept:
            yield from self._kept
            return
        kept: list[tuple[float, Sequence[Tensor]]] = []
        used = 0
        for coefficient, value in self.objective.pieces():
            gradient = torch.autograd.grad(
                value, self.objective.parameters, create_graph=True, allow_unused=True, materialize_grads=True
            )
            if self._fits:
                used += saved_bytes(gradient)
                self._fits = used <= self.memory
                kept = [*kept, (coefficient, gradient)] if self._fits else []
            yield coefficient, gradient
        self._kept = kept
