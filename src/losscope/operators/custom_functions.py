"""Operations in a graph that are not torch's own: whether their backward can be differentiated nobody has checked."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

KNOWN_WRONG = {"WeightNormInterfaceBackward0": "weight_norm"}
"""Of torch's own, those whose second derivatives are wrong, by the names of their nodes."""


def names_of(value: Tensor, stops: Sequence[Tensor] = ()) -> list[str]:
    """Names of the nodes of a graph that are custom functions, in Python or C++, or known to be wrong."""
    found = set()
    for node in nodes_of(value, stops):
        name: str = node.name()
        custom = isinstance(node, torch.autograd.function.BackwardCFunction) or "CppNode" in name
        if custom or name in KNOWN_WRONG:
            found.add(name)
    return sorted(found)


def nodes_of(value: Tensor, stops: Sequence[Tensor] = ()) -> Iterator[Any]:
    """Of a graph, above those that made ``stops``."""
    pending: list[Any] = [value.grad_fn]
    seen = {*pending, *(t.grad_fn for t in stops)}
    while pending:
        node = pending.pop()
        if node is None:
            continue
        yield node
        for following, _ in node.next_functions:
            if following not in seen:
                seen.add(following)
                pending.append(following)
