"""A batch cut at its predictions, by the shape of the graph alone: no gradient is taken.

The Gauss-Newton matrix is that of a loss that depends on the parameters through the model's output only. Here that is
a question of reachability: the walk from the loss that stops at the predictions must meet no trained parameter.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.linearisation import Linearisation, tensors


def cut(objective: Objective, index: int) -> Linearisation:
    """One batch with the tensors of the output that its loss is computed from; ``BadUsage`` where there are none."""
    output, loss = objective.both_of(index)
    candidates = [t for t in tensors(output) if t.requires_grad and not _is_loss(t, loss)]
    reached, _ = _walk(loss, candidates, objective.parameters, stop=False)
    candidates = [t for i, t in enumerate(candidates) if i in reached]
    choices = [candidates, *([c] for c in candidates)] if len(candidates) > 1 else [candidates]
    for chosen in choices:
        if chosen and _suffices(chosen, loss, objective.parameters):
            return Linearisation(index, objective.coefficients[index], chosen, loss, objective.parameters)
    raise BadUsage(
        "the loss is not a function of the model's output alone",
        seen=f"{len(candidates)} tensors of the output reach it",
        remedy="return what the loss is computed from",
    )


def _suffices(chosen: Sequence[Tensor], loss: Tensor, parameters: Sequence[Tensor]) -> bool:
    """Whether every path from the loss to a parameter passes exactly one of the chosen tensors."""
    if _walk(loss, chosen, parameters)[1]:
        return False
    return not any(_walk(one, [t for t in chosen if t is not one], parameters)[0] for one in chosen)


def _walk(
    start: Tensor, stops: Sequence[Tensor], parameters: Sequence[Tensor], stop: bool = True
) -> tuple[set[int], bool]:
    """Which of ``stops`` the graph of ``start`` reaches, and whether a parameter, without passing these if ``stop``."""
    ends = {(t.grad_fn, t.output_nr): i for i, t in enumerate(stops)}
    own = {id(p) for p in parameters}
    reached: set[int] = set()
    leak = False
    first = (start.grad_fn, start.output_nr)
    pending, seen = [first], {first}
    while pending:
        edge = pending.pop()
        if edge in ends and edge != first:
            reached.add(ends[edge])
            if stop:
                continue
        node = edge[0]
        assert node is not None
        leak = leak or id(getattr(node, "variable", None)) in own
        for following in node.next_functions:
            if following[0] is not None and following not in seen:
                seen.add(following)
                pending.append(following)
    return reached, leak


def _is_loss(tensor: Tensor, loss: Tensor) -> bool:
    """Whether an output is the loss itself, which a model returns beside its predictions."""
    return tensor.numel() == 1 and bool(torch.equal(tensor.detach().reshape(()), loss.detach()))
