"""A batch cut at its predictions, by the shape of the graph alone: no gradient is taken.

The Gauss-Newton matrix is that of a loss that depends on the parameters through the model's output only. Here that is
a question of reachability: the walk from the loss that stops at the predictions must meet no trained parameter.
"""

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.linearisation import Linearisation, tensors
from losscope.operators.reach import suffices, walk


def cut(objective: Objective, index: int) -> Linearisation:
    """One batch with the tensors of the output that its loss is computed from; ``BadUsage`` where there are none."""
    output, loss = objective.both_of(index)
    candidates = [t for t in tensors(output) if t.requires_grad and not _is_loss(t, loss)]
    reached, _ = walk(loss, candidates, objective.parameters, stop=False)
    candidates = [t for i, t in enumerate(candidates) if i in reached]
    choices = [candidates, *([c] for c in candidates)] if len(candidates) > 1 else [candidates]
    for chosen in choices:
        if chosen and suffices(chosen, loss, objective.parameters):
            return Linearisation(index, objective.coefficients[index], chosen, loss, objective.parameters)
    raise BadUsage(
        "the loss is not a function of the model's output alone",
        seen=f"{len(candidates)} tensors of the output reach it",
        remedy="return what the loss is computed from",
    )


def _is_loss(tensor: Tensor, loss: Tensor) -> bool:
    """Whether an output is the loss itself, which a model returns beside its predictions."""
    return tensor.numel() == 1 and bool(torch.equal(tensor.detach().reshape(()), loss.detach()))
