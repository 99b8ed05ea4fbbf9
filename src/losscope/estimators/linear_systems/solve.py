"""Linear systems A x = b: conjugate gradients, and minimal residuals once negative curvature shows.

The residual that is given is b - Ax by one more product, not the one of the recurrence. Where it is above the
tolerance, as happens in single precision, the iteration is started again on it (iterative refinement, with x kept in
double precision), as long as that halves it. Products that are rounded to single precision leave a
residual of about 10⁻⁷ ‖A‖ ‖x‖. The error itself is bounded by ‖x - A⁻¹b‖ ≤ ‖b - Ax‖ / min|λ|.

Sources: ``cg``, ``minres``; refinement: Higham, *Accuracy and Stability of Numerical Algorithms*, chapter 12.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.linear_systems.cg import conjugate_gradients
from losscope.estimators.linear_systems.columns import Columns
from losscope.estimators.linear_systems.minres import minimal_residuals
from losscope.estimators.search import Course, resumable
from losscope.operators.operator import LinearOperator

__all__ = ["Solution", "solve"]

_ROUNDS = 6  # of refinement


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """``x`` of b's shape, in double precision; ``residuals`` are ‖b - Ax‖ / ‖b‖, per column (0 where b is 0).

    ``method`` is what it ended with: "minres" proves that A is not positive definite. ``converged``: every residual is
    below the tolerance that was asked for.
    """

    x: Tensor = field(repr=False)
    residuals: tuple[float, ...]
    method: Literal["cg", "minres"]
    products: int
    seconds: float
    converged: bool


@resumable
def solve(
    op: LinearOperator,
    b: Tensor,
    *,
    rtol: float = 1e-5,
    preconditioner: LinearOperator | None = None,
    seconds: float = math.inf,
    products: int | None = None,
    progress: Progress | None = None,
) -> Course[Solution]:
    """x with ‖b - Ax‖ ≤ rtol ‖b‖ for each column of b, [n] or [n, k].

    Ends after ``seconds`` or so many ``products`` (default 1,000 per column) with what is known then.
    ``preconditioner`` is a positive definite M ≈ A⁻¹. ``progress(products, largest residual ÷ tolerance)`` is called
    after each step. Cost: a product per step and column that has not converged, and one per column and round to look
    at the residual. Memory: nine blocks [n, k] at most.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> found = solve(Dense(torch.diag(torch.tensor([1.0, 2.0, 4.0]))), torch.ones(3))
    >>> [round(x, 4) for x in found.x.tolist()], found.method
    ([1.0, 0.5, 0.25], 'cg')
    """
    _check(op, b, preconditioner)
    width = 1 if b.dim() == 1 else b.shape[1]
    limit = 1000 * width if products is None else products
    budget = Budget(op, rtol=rtol, seconds=seconds, products=limit, progress=progress)
    return (yield from _Refinement(budget, b, preconditioner).course())


class _Refinement:
    """``x`` [n, k], its residuals ``rest``, and the tolerances of these [k]."""

    def __init__(self, budget: Budget, b: Tensor, preconditioner: LinearOperator | None) -> None:
        self.budget, self._shape, self._preconditioner = budget, b.shape, preconditioner
        self._right = b.detach().reshape(budget.op.size, -1).to(device=budget.op.device, dtype=torch.float64)
        self._sizes = self._right.norm(dim=0)
        self._aim = budget.rtol * self._sizes
        self.x, self.rest = torch.zeros_like(self._right), self._right
        self.indefinite = False

    def course(self) -> Course[Solution]:
        budget, before, rounds = self.budget, torch.full_like(self._sizes, math.inf), 0
        while rounds < _ROUNDS:
            norms = self.rest.norm(dim=0)
            active = (norms > self._aim) & (norms <= before / 2)
            if not bool(active.any()):
                break
            if budget.left < 2 * int(active.sum()) or (rounds and budget.overdue):
                yield from budget.pause(self._solution(self.x, self.rest))
                continue
            rounds += 1
            x, rest = self.x, self.rest
            for gain, done in self._round(rest[:, active], self._aim[active]):
                x, rest = self._better(active, gain)
                if not done:
                    yield from budget.pause(self._solution(x, rest))
            self.x, self.rest = x, rest
            switched = self.indefinite and not bool((rest.norm(dim=0) <= self._aim).all())
            before = torch.full_like(before, math.inf) if switched and before.isinf().all() else norms
        return self._solution(self.x, self.rest)

    def _better(self, active: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
        """x and residuals with the correction of the active columns, where it is one; by one product for each."""
        tried, left = self.x.clone(), self.rest.clone()
        tried[:, active] += gain
        left[:, active] = self._right[:, active] - self.budget.multiply(tried[:, active]).double()
        better = left.norm(dim=0) < self.rest.norm(dim=0)
        return torch.where(better, tried, self.x), torch.where(better, left, self.rest)

    def _round(self, rest: Tensor, tolerance: Tensor) -> Iterator[tuple[Tensor, bool]]:
        """Corrections for residuals [n, k]; a column is scaled to length 1, so that single precision has room."""
        scale = rest.norm(dim=0)
        right = (rest / scale).to(self.budget.working)
        aim = (tolerance / scale).cpu() / 2  # the recurrence is not the truth
        if not self.indefinite:
            columns = Columns(self.budget, right, aim, self._preconditioner)
            for found, done in conjugate_gradients(columns, right):
                self.indefinite = columns.indefinite
                if done and self.indefinite and columns.room:
                    break
                yield found.double() * scale, done
                if done:
                    return
        columns = Columns(self.budget, right, aim, self._preconditioner)
        for found, done in minimal_residuals(columns, right):
            yield found.double() * scale, done

    def _solution(self, x: Tensor, rest: Tensor) -> Solution:
        tiny = torch.finfo(torch.float64).tiny
        final = torch.where(self._sizes > 0, rest.norm(dim=0) / self._sizes.clamp_min(tiny), 0.0)
        return Solution(
            x=x.reshape(self._shape),
            residuals=tuple(final.tolist()),
            method="minres" if self.indefinite else "cg",
            products=self.budget.used,
            seconds=self.budget.elapsed,
            converged=bool((final <= self.budget.rtol).all()),
        )


def _check(op: LinearOperator, b: Tensor, preconditioner: LinearOperator | None) -> None:
    if b.dim() not in (1, 2) or len(b) != op.size:
        raise BadUsage(
            f"right-hand sides of size [{op.size}] or [{op.size}, k] are needed", seen=str(tuple(b.shape))
        )
    if not bool(b.isfinite().all()):
        raise BadUsage("a right-hand side is not finite", seen=f"{int((~b.isfinite()).sum())} entries")
    if preconditioner is not None and preconditioner.size != op.size:
        raise BadUsage(
            "a preconditioner has the size of the operator", seen=f"{preconditioner.size} for {op.size}"
        )
