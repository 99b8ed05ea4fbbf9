"""Structured matrices over an objective's parameters: products, inverses, traces, determinants in closed form."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.of_objective import OfObjective
from losscope.operators.rounding import rounded
from losscope.operators.structured.blocks import Block, Diagonal


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A block and the positions of the parameters that it is over, in the block's order."""

    positions: tuple[int, ...]
    block: Block


class BlockDiagonal(OfObjective):
    """A positive semi-definite matrix [P, P] of blocks over parameters; 0 where a parameter has none."""

    def __init__(self, objective: Objective, placed: Sequence[Placed]) -> None:
        super().__init__(objective)
        self.placed = list(placed)

    @property
    def structure(self) -> dict[str, str]:
        """What the block of each parameter is, by its name; "not reached" where the loss does not depend on it."""
        found = dict.fromkeys(self.objective.names, "not reached")
        for one in self.placed:
            for position in one.positions:
                found[self.objective.names[position]] = one.block.what
        return found

    def apply(self, vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors)
        working = torch.promote_types(vectors.dtype, torch.float32)  # as blocks are
        for one in self.placed:
            slices = [self._slice(position) for position in one.positions]
            image = one.block.apply(torch.cat([vectors[s].to(working) for s in slices]))
            for s, piece in zip(slices, image.split([s.stop - s.start for s in slices]), strict=True):
                total[s] = piece
        return total

    def _slice(self, position: int) -> slice:
        start = sum(p.numel() for p in self.objective.parameters[:position])
        return slice(start, start + self.objective.parameters[position].numel())

    def eigenvalues(self) -> Tensor:
        """All P eigenvalues, ascending, in double precision. Cost: d³ for a factor of size d."""
        with without_autocast():
            found = [one.block.eigenvalues().double().reshape(-1) for one in self.placed]
        covered = sum(len(values) for values in found)
        rest = torch.zeros(self.size - covered, dtype=torch.float64, device=self.device)
        return torch.cat([*found, rest]).sort().values

    def trace(self) -> Estimate:
        """The trace, exactly; of half precision the error is that of one rounding."""
        return rounded(math.fsum(one.block.trace() for one in self.placed), 0.0, 0, 0.0, self.precision)

    def logdet(self, damping: float = 0.0) -> Estimate:
        """ln det(B + damping · I), exactly; -∞ where it is singular.

        Of half precision the error is that of one rounding of all eigenvalues, eps Σ λ / (λ + damping).
        """
        damping = _damping(damping)
        own = self.eigenvalues()
        values = own + damping
        if float(values.min()) <= 0:
            return Estimate(-math.inf)
        lost = rounded(float((own / values).sum()), 0.0, 0, 0.0, self.precision).stderr
        return Estimate(float(values.log().sum()), lost)

    def inverse(self, damping: float = 0.0) -> "BlockDiagonal":
        """(B + damping · I)⁻¹, exactly and not with the damping shared out between factors.

        Raises ``BadUsage`` where that is singular up to rounding.
        """
        damping = _damping(damping)
        values = self.eigenvalues()
        smallest = float(values[0]) + damping
        if smallest <= torch.finfo(self.dtype).eps * float(values[-1]):
            raise BadUsage(
                "the matrix has no inverse up to rounding",
                seen=f"smallest eigenvalue {smallest:.3g}, largest {float(values[-1]):.3g}",
                remedy="give a damping above 0",
            )
        return self.function(lambda v: 1 / (v + damping), at_zero=1 / damping if damping else 0.0)

    def function(self, of: Callable[[Tensor], Tensor], at_zero: float = 0.0) -> "BlockDiagonal":
        """The matrix with the same eigenvectors and ``of`` of its eigenvalues; ``at_zero`` for uncovered parameters."""
        with without_autocast():
            placed = [Placed(one.positions, one.block.function(of)) for one in self.placed]
        found = BlockDiagonal(self.objective, placed)
        covered = {position for one in placed for position in one.positions}
        for i, parameter in enumerate(self.objective.parameters):
            if i not in covered and at_zero:
                found.placed.append(Placed((i,), constant(parameter, at_zero)))
        return found


def constant(parameter: Tensor, value: float) -> Block:
    """A multiple of the identity over one parameter."""
    return Diagonal(torch.full_like(parameter.detach().reshape(-1), value), "not reached")


def _damping(damping: float) -> float:
    if not 0 <= damping < math.inf:
        raise BadUsage("a damping is a number from 0", seen=f"damping={damping}")
    return float(damping)
