"""What the matrices over an objective's parameters share."""

from losscope.objective.objective import Objective
from losscope.operators.kept import MEMORY, Kept
from losscope.operators.linearisation import Linearisation, linearise
from losscope.operators.operator import LinearOperator


class OfObjective(LinearOperator):
    """A symmetric matrix [P, P] over the parameters of an objective, at its model's own and in their precision."""

    def __init__(self, objective: Objective) -> None:
        first = objective.parameters[0]
        super().__init__(objective.size, first.dtype, first.device)
        self.objective = objective


def linearised(objective: Objective, memory: int = MEMORY) -> Kept[Linearisation]:
    """The batches of an objective, taken apart, and kept where they fit into ``memory`` bytes."""
    chosen: dict[int, list[int]] = {}
    return Kept(lambda: linearise(objective, chosen), lambda batch: batch.bytes, objective.parameters, memory)
