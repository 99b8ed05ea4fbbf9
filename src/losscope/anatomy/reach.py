"""Which leaves of the autograd graph a loss reaches."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

_LEAF = "torch::autograd::AccumulateGrad"


def reached_parameters(loss: Tensor) -> list[Tensor]:
    """Every leaf tensor that ``loss.backward()`` gives a gradient, in the order of discovery.

    Cost: one visit per node of the graph, about a microsecond each; memory for one set of nodes.
    """
    if loss.grad_fn is None:
        return [loss] if loss.requires_grad else []
    return leaves_below([loss.grad_fn])


def leaves_below(functions: Iterable[Any]) -> list[Tensor]:
    """The leaves below some autograd nodes, each once, found without recursion."""
    stack = list(functions)
    seen = set(stack)
    leaves: dict[int, Tensor] = {}
    while stack:
        function = stack.pop()
        children = function.next_functions
        if not children and function.name() == _LEAF:
            leaf = function.variable
            leaves[id(leaf)] = leaf
        for child, _ in children:
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)
    return list(leaves.values())
