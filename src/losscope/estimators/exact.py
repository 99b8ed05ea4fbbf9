"""The whole matrix, where it is small enough to be worth having."""

import torch
from torch import Tensor

from losscope.estimators.budget import Budget

_BLOCK = 64


def dense(budget: Budget, most: int) -> Tensor | None:
    """A [n, n] in double precision on the CPU, symmetrised, by n products; n³ operations for what is made of it.

    None where n is above ``most`` or the products that are left, or where time runs out on the way.
    """
    n = budget.op.size
    if n > min(most, budget.left):
        return None
    columns: list[Tensor] = []
    for first in range(0, n, _BLOCK):
        if columns and budget.late:
            return None
        count = min(_BLOCK, n - first)
        vectors = torch.zeros(n, count, dtype=budget.working, device=budget.op.device)
        vectors[range(first, first + count), range(count)] = 1
        columns.append(budget.multiply(vectors).double().cpu())
    full = torch.cat(columns, 1)
    return (full + full.T) / 2
