"""The covariance of per-sample gradients, C = (1/N) Σ (g_i - ḡ)(g_i - ḡ)ᵀ: the noise of stochastic gradients.

A mini-batch of B samples drawn with replacement has a gradient with covariance C/B. g_i is the gradient of a sample's
share of the data term, N times its part in L, so that ḡ = ∇(data term): weights, denominators and ignored targets
are those of the loss. The penalty is the same for every sample and adds no noise.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.kept import MEMORY
from losscope.operators.linearisation import Linearisation
from losscope.operators.of_objective import linearised
from losscope.operators.second_derivative import SecondDerivative

__all__ = ["GradientCovariance"]


class GradientCovariance(SecondDerivative):
    """C [P, P] of an objective; with ``centred=False`` the second moment (1/N) Σ g_i g_iᵀ.

    A sample is an entry of the first axis of the predictions (a sequence counts as one), and its loss must not depend
    on the predictions of others: in-batch contrastive losses have no per-sample gradients. Cost of a product: two
    passes over the graph of each batch, about 1.5 to 2 gradients. Raises ``BadUsage`` where the predictions have no
    axis of samples.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.zeros_(line.weight)
    >>> x, t = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [3.0]])
    >>> float(GradientCovariance(Objective(line, torch.nn.functional.mse_loss, (x, t))).dense())  # of -2 and -6
    4.0
    """

    of_network = False

    def __init__(self, objective: Objective, *, centred: bool = True, memory: int = MEMORY) -> None:
        super().__init__(objective)
        self.centred = centred
        self._batches = linearised(objective, memory)
        self._count = sum(_samples(batch) for batch in self._batches)

    @property
    def samples(self) -> int:
        """Number of samples N."""
        return self._count

    def root(self, z: Tensor) -> Tensor:
        """S z = Σ z_i (g_i - ḡ) / √N for a block z [N, k], [P, k]: C = S Sᵀ. One backward pass for each column."""
        if self.centred:
            z = z - z.mean(0)
        total = z.new_zeros(self.size, z.shape[1])
        start = 0
        for batch in self._batches:
            slopes, stop = self._slopes(batch), start + _samples(batch)
            for j in range(z.shape[1]):
                weights = z[start:stop, j] / self._count**0.5
                total[:, j].add_(batch.pull([_weighted(s, weights) for s in slopes]))
            start = stop
        return total

    def transpose(self, vectors: Tensor) -> Tensor:
        """Sᵀ v = (g_i - ḡ) · v / √N for a block v [P, k], [N, k]."""
        along = torch.cat([self._along(batch, vectors) for batch in self._batches])
        if self.centred:
            along = along - along.mean(0)
        return along / self._count**0.5

    def product(self, vectors: Tensor) -> Tensor:
        along = [self._along(batch, vectors) for batch in self._batches]
        mean = torch.cat(along).mean(0) if self.centred else vectors.new_zeros(vectors.shape[1])
        total = torch.zeros_like(vectors)
        for batch, found in zip(self._batches, along, strict=True):
            slopes = self._slopes(batch)
            for j in range(vectors.shape[1]):
                weights = (found[:, j] - mean[j]) / self._count
                total[:, j].add_(batch.pull([_weighted(s, weights) for s in slopes]))
        return total

    def _slopes(self, batch: Linearisation) -> list[Tensor]:
        """∂/∂f of N times the batch's part in L: row i is that of sample i."""
        return [s.detach() * (self._count * batch.coefficient) for s in batch.slope]

    def _along(self, batch: Linearisation, vectors: Tensor) -> Tensor:
        """g_i · v for the samples of a batch, [n, k]."""
        slopes = self._slopes(batch)
        columns = []
        for v in vectors.unbind(1):
            pushed = batch.push(v)
            columns.append(sum((s * w).flatten(1).sum(1) for s, w in _pairs(slopes, pushed)))
        return torch.stack(columns, 1)  # type: ignore[arg-type]


def _samples(batch: Linearisation) -> int:
    if batch.samples is None:
        shapes = ", ".join(str(tuple(p.shape)) for p in batch.predictions)
        raise BadUsage("the predictions have no axis of samples in common", seen=shapes)
    return batch.samples


def _pairs(one: Sequence[Tensor], other: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    for a, b in zip(one, other, strict=True):
        yield (a[:, None], b[:, None]) if a.dim() == 1 else (a, b)


def _weighted(slope: Tensor, weights: Tensor) -> Tensor:
    return slope * weights.reshape(-1, *(1 for _ in slope.shape[1:]))
