"""The Jacobian J = ∂f/∂θ of all predictions of an objective, and the tangent kernel J Jᵀ.

The kernel of a network's linearisation at θ: Jacot, Gabriel and Hongler, 2018, arXiv:1806.07572. Its spectrum is that
of the Gauss-Newton matrix of the squared error up to a factor, its eigenvectors are what is learned first.
"""

import torch
from torch import Tensor

from losscope.core.errors import BadUsage, NotReadable
from losscope.objective.objective import Objective
from losscope.objective.precision import coarsest, without_autocast
from losscope.operators.kept import MEMORY
from losscope.operators.layers import Layers
from losscope.operators.linearisation import Linearisation, linearise, tensors
from losscope.operators.of_objective import linearised
from losscope.operators.operator import LinearOperator
from losscope.operators.tangent_kernel import tangent_kernel

__all__ = ["NTK", "Jacobian"]

_MOST_OUTPUTS = 128


class Jacobian:
    """J [M, P] of the M predictions of all batches, flattened one after the other. ``J @ V`` and ``J.T @ W``.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> (Jacobian(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]))) @ torch.eye(2)).tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """

    def __init__(self, objective: Objective, *, memory: int = MEMORY) -> None:
        self.objective = objective
        self._batches = linearised(objective, memory)
        self._rows = _rows(objective)

    @property
    def shape(self) -> tuple[int, int]:
        """(M, P)."""
        return self._rows, self.objective.size

    def __repr__(self) -> str:
        return f"<Jacobian {self.shape[0]:,} x {self.shape[1]:,}>"

    def __matmul__(self, vectors: Tensor) -> Tensor:
        """J V [M, k], for V [P] or [P, k]."""
        block = _block(vectors, self.objective.size)
        rows = [torch.stack([_flat(batch.push(v)) for v in block.unbind(1)], 1) for batch in self._batches]
        return torch.cat(rows)[:, 0] if vectors.dim() == 1 else torch.cat(rows)

    @property
    def T(self) -> "_Transposed":  # noqa: N802  as everywhere
        """Jᵀ [P, M]."""
        return _Transposed(self)

    def pull(self, weights: Tensor) -> Tensor:
        """Jᵀ W [P, k], for W [M] or [M, k]."""
        block = _block(weights, self._rows)
        total = block.new_zeros(self.objective.size, block.shape[1])
        start = 0
        for batch in self._batches:
            stop = start + _length(batch)
            for j, column in enumerate(block[start:stop].unbind(1)):
                total[:, j].add_(batch.pull(_shaped(column, batch)))
            start = stop
        return total[:, 0] if weights.dim() == 1 else total


class _Transposed:
    def __init__(self, jacobian: Jacobian) -> None:
        self._jacobian = jacobian

    @property
    def shape(self) -> tuple[int, int]:
        return self._jacobian.shape[::-1]  # type: ignore[return-value]

    def __matmul__(self, weights: Tensor) -> Tensor:
        return self._jacobian.pull(weights)


class NTK(LinearOperator):
    """J Jᵀ over all predictions, [M, M]: the kernel matrix of the network's linearisation at θ.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [1.0, 2.0]])
    >>> NTK(Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]))).dense().tolist()
    [[1.0, 1.0], [1.0, 5.0]]
    """

    def __init__(self, objective: Objective, *, memory: int = MEMORY) -> None:
        self.jacobian = Jacobian(objective, memory=memory)
        first = objective.parameters[0]
        super().__init__(self.jacobian.shape[0], first.dtype, first.device)

    @property
    def precision(self) -> torch.dtype:
        return coarsest([self.dtype, self.jacobian.objective.precision])

    def apply(self, vectors: Tensor) -> Tensor:
        return self.jacobian @ self.jacobian.pull(vectors)

    def dense(self) -> Tensor:
        """The whole matrix [M, M]: by layers, Σ (A Aᵀ)∘(G Gᵀ), where the network permits that; else by M products."""
        try:
            return self._by_layers()
        except NotReadable:
            return super().dense()

    @without_autocast()
    def _by_layers(self) -> Tensor:
        """One backward pass for each output of a sample; ``NotReadable`` where that cannot be had."""
        objective = self.jacobian.objective
        parts = [Layers(objective, i) for i, c in enumerate(objective.coefficients) if c]
        shapes = [part.batch.predictions[0].shape for part in parts]
        outputs = shapes[0][1:].numel()
        alike = {
            (len(part.batch.predictions), shape[1:].numel())
            for part, shape in zip(parts, shapes, strict=True)
        }
        if alike != {(1, outputs)} or outputs > _MOST_OUTPUTS:
            raise NotReadable("too many outputs per sample, or several tensors", seen=str(outputs))
        columns = []
        for c in range(outputs):
            units = [torch.zeros(s, dtype=self.dtype, device=self.device) for s in shapes]
            for unit in units:
                unit.view(len(unit), -1)[:, c] = 1.0
            columns.append(units)
        found = tangent_kernel(parts, columns)
        found = found.view(outputs, self.size // outputs, outputs, -1)
        return found.permute(1, 0, 3, 2).reshape(self.size, self.size)


def _rows(objective: Objective) -> int:
    """Number of predictions. A forward pass shows it where the output is one tensor; else what the loss is made of."""
    lengths = []
    for index, coefficient in enumerate(objective.coefficients):
        if coefficient:
            with torch.no_grad():
                found = tensors(objective.prediction_of(index))
            if len(found) != 1:
                return sum(_length(batch) for batch in linearise(objective))
            lengths.append(found[0].numel())
    return sum(lengths)


def _length(batch: Linearisation) -> int:
    return sum(p.numel() for p in batch.predictions)


def _flat(values: list[Tensor]) -> Tensor:
    return torch.cat([v.reshape(-1) for v in values])


def _shaped(vector: Tensor, batch: Linearisation) -> list[Tensor]:
    pieces = vector.split([p.numel() for p in batch.predictions])
    return [piece.reshape(p.shape) for piece, p in zip(pieces, batch.predictions, strict=True)]


def _block(vectors: Tensor, length: int) -> Tensor:
    if vectors.dim() not in (1, 2) or len(vectors) != length:
        raise BadUsage(f"a vector [{length}] or a block [{length}, k]", seen=f"shape {tuple(vectors.shape)}")
    return vectors.detach()[:, None] if vectors.dim() == 1 else vectors.detach()
