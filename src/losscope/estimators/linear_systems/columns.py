"""What conjugate gradients and minimal residuals share: independent columns, of which finished ones are frozen."""

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.estimators.budget import Budget
from losscope.estimators.vectors import dots
from losscope.operators.operator import LinearOperator


class Columns:
    """Right-hand sides [n, k], the tolerances of their residuals [k], and the tensors [n, k] of an iteration.

    ``state`` holds what belongs to columns that are still worked on, ``place`` where these stand in the solution.
    ``indefinite``: a direction of negative curvature was met.
    """

    def __init__(
        self, budget: Budget, right: Tensor, tolerance: Tensor, preconditioner: LinearOperator | None
    ) -> None:
        self.budget, self.tolerance = budget, tolerance
        self.preconditioner = preconditioner
        self.solution = torch.zeros_like(right)
        self.place = torch.arange(right.shape[1])
        self.state: dict[str, Tensor] = {}
        self.indefinite = False

    @property
    def room(self) -> bool:
        """Whether time and products are left for another step and for looking at the result."""
        return self.budget.left >= len(self.place) + self.solution.shape[1] and not self.budget.late

    def so_far(self) -> Tensor:
        """The solution [n, k] as far as it is known."""
        found = self.solution.clone()
        if self.state:
            found[:, self.place.to(found.device)] = self.state["x"]
        return found

    def precondition(self, vectors: Tensor) -> Tensor:
        """M v; v where there is no preconditioner."""
        if self.preconditioner is None:
            return vectors
        return (self.preconditioner @ vectors).to(vectors)

    def squared(self, left: Tensor, right: Tensor) -> Tensor:
        """rᵀMr of columns r and Mr, which must not be negative."""
        found = dots(left, right)
        if bool((found < 0).any()) or not bool(found.isfinite().all()):
            raise BadUsage(
                "a preconditioner must be positive definite", seen=f"rᵀMr = {float(found.min()):.3g}"
            )
        return found

    def freeze(self, done: Tensor) -> None:
        """Take finished columns out of the iteration; their solutions stay as they are."""
        if bool(done.any()):
            self.solution[:, self.place[done].to(self.solution.device)] = self.state["x"][
                :, done.to(self.solution.device)
            ]
            keep = ~done
            self.place, self.tolerance = self.place[keep], self.tolerance[keep]
            self.state = {name: value[..., keep.to(value.device)] for name, value in self.state.items()}
