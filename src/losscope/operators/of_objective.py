"""What the matrices over an objective's parameters share."""

from collections.abc import Sequence
from difflib import get_close_matches

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.objective.precision import coarsest
from losscope.operators.kept import MEMORY, Kept
from losscope.operators.linearisation import Linearisation, linearise
from losscope.operators.operator import LinearOperator


class OfObjective(LinearOperator):
    """A symmetric matrix [P, P] over the parameters of an objective, at its model's own and in their precision."""

    def __init__(self, objective: Objective) -> None:
        first = objective.parameters[0]
        super().__init__(objective.size, first.dtype, first.device)
        self.objective = objective

    @property
    def precision(self) -> torch.dtype:
        return coarsest([self.dtype, self.objective.precision])

    def coordinates(self, names: Sequence[str]) -> Tensor:
        own = self.objective.names
        for name in names:
            if not any(_belongs(one, name) for one in own):
                likely = get_close_matches(name, own, 3) or own[:3]
                raise BadUsage(
                    "no trained parameter or module has this name",
                    seen=repr(name),
                    remedy="try " + ", ".join(likely),
                )
        found, start = [], 0
        for one, parameter in zip(own, self.objective.parameters, strict=True):
            if any(_belongs(one, name) for name in names):
                found.append(torch.arange(start, start + parameter.numel(), device=self.device))
            start += parameter.numel()
        if not found:
            raise BadUsage("a block has at least one parameter", seen="no name")
        return torch.cat(found)


def _belongs(parameter: str, name: str) -> bool:
    """Whether a parameter is what is named, or lies in it."""
    return parameter == name or parameter.startswith(name + ".")


def linearised(objective: Objective, memory: int = MEMORY) -> Kept[Linearisation]:
    """The batches of an objective, taken apart, and kept where they fit into ``memory`` bytes."""
    chosen: dict[int, list[int]] = {}
    return Kept(lambda: linearise(objective, chosen), lambda batch: batch.bytes, objective, memory)
