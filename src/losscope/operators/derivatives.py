"""Derivatives of gradients, the work behind every Hessian."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from losscope.objective.objective import Objective
from losscope.objective.vectors import flat, parts


def gradients(
    objective: Objective, pieces: Iterable[tuple[float, Tensor]]
) -> Iterator[tuple[float, Sequence[Tensor]]]:
    """Coefficient and gradient with its graph, of every piece of an objective."""
    for coefficient, value in pieces:
        yield (
            coefficient,
            torch.autograd.grad(
                value, objective.parameters, create_graph=True, allow_unused=True, materialize_grads=True
            ),
        )


def add_products_(
    total: Tensor, coefficient: float, gradient: Sequence[Tensor], leaves: Sequence[Tensor], vectors: Tensor
) -> None:
    """Add ``coefficient`` times the derivative of a gradient along each column of ``vectors``, in place."""
    known = [i for i, g in enumerate(gradient) if g.requires_grad]
    if not known:
        return
    for j in range(vectors.shape[1]):
        column = parts(vectors[:, j].contiguous(), leaves)
        found = torch.autograd.grad(
            [gradient[i] for i in known],
            leaves,
            [column[i] for i in known],
            retain_graph=True,
            allow_unused=True,
        )
        total[:, j].add_(flat(found, leaves), alpha=coefficient)
