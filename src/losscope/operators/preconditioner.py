"""The matrix that an optimiser multiplies its momentum with, read from the state of the live optimiser.

The next step is θ ← θ - η M m with momentum m: the gradient itself for RMSprop and Adagrad without one. M is diagonal,
one over what :mod:`losscope.operators.second_moments` says. Parameter groups with learning rates of their own count
with η of the group over the largest.
"""

from typing import Any

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.second_moments import denominator, plain
from losscope.operators.structured.block_diagonal import BlockDiagonal, Placed
from losscope.operators.structured.blocks import Diagonal

__all__ = ["Preconditioner"]


class Preconditioner(BlockDiagonal):
    """The preconditioner M of a ``torch.optim`` optimiser over an objective's parameters, positive semi-definite.

    The objective must hold the parameters that the optimiser steps (no ``dtype`` or ``device`` of its own). Cost: none.
    Raises ``BadUsage``, one line, for other optimisers, before the first step, and where a parameter is not optimised.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.zeros_(line.weight)
    >>> x = torch.tensor([[1.0]])
    >>> objective = Objective(line, torch.nn.functional.mse_loss, (x, x))
    >>> optimizer = torch.optim.Adam(line.parameters())
    >>> objective.loss_of(0).backward()  # a gradient of -2
    >>> optimizer.step()
    >>> Preconditioner(objective, optimizer).dense()
    tensor([[0.5000]])
    """

    def __init__(self, objective: Objective, optimizer: Any) -> None:
        optimizer = plain(optimizer)
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        largest = max((float(group["lr"]) for group in optimizer.param_groups), default=0.0)
        if not largest > 0:
            raise BadUsage("the optimiser takes no steps", seen=f"learning rate {largest:g}")
        placed = []
        for i, (name, parameter) in enumerate(zip(objective.names, objective.parameters, strict=True)):
            group = groups.get(id(parameter))
            if group is None:
                raise BadUsage(
                    "a parameter of the objective is not one of the optimiser's",
                    seen=name,
                    remedy="give both the same model, and the objective no dtype or device",
                )
            divisor = denominator(optimizer, group, parameter, name)
            if bool((divisor == 0).any()):
                raise BadUsage("the preconditioner is infinite", seen=f"{name}: a second moment and eps of 0")
            entries = (1 / divisor).reshape(-1).to(parameter.dtype)
            placed.append(Placed((i,), Diagonal(entries * (float(group["lr"]) / largest), "diagonal")))
        super().__init__(objective, placed)
