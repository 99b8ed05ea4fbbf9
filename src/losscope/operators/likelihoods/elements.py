"""What distributions of single numbers share: every element of the predictions is a row of its own."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from losscope.operators.likelihood import Rows

Draw = Callable[[torch.Generator], list[Tensor]]


class Elements(Rows):
    """Rows whose m E[s sᵀ] is diagonal over the tensors: ``fisher``, one per tensor. ``draw`` gives √m s."""

    def __init__(self, slopes: Sequence[Tensor], mass: Tensor, fisher: Sequence[Tensor], draw: Draw) -> None:
        super().__init__(slopes, mass)
        self._fisher, self._draw = list(fisher), draw

    def product(self, vector: Sequence[Tensor]) -> list[Tensor]:
        return [f * w for f, w in zip(self._fisher, vector, strict=True)]

    def drawn(self, generator: torch.Generator) -> list[Tensor]:
        return self._draw(generator)

    def rooted(self, vector: Sequence[Tensor]) -> list[Tensor]:
        return [f.sqrt() * w for f, w in zip(self._fisher, vector, strict=True)]

    def inner(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
        return torch.stack([a * b for a, b in zip(one, other, strict=True)]).sum(0)

    def root(self) -> Iterator[list[Tensor]]:
        for i, fisher in enumerate(self._fisher):
            samples = fisher.shape[0] if fisher.dim() else 1
            rows = fisher.sqrt().reshape(samples, -1)
            for j in range(rows.shape[1]):
                column = torch.zeros_like(rows)
                column[:, j] = rows[:, j]
                yield [
                    column.view(fisher.shape) if i == k else torch.zeros_like(f)
                    for k, f in enumerate(self._fisher)
                ]


def ratio(numerator: Tensor, denominator: Tensor, otherwise: Tensor) -> Tensor:
    """a / b, and ``otherwise`` where b is 0."""
    known = denominator != 0
    return torch.where(known, numerator / torch.where(known, denominator, 1), otherwise)


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
