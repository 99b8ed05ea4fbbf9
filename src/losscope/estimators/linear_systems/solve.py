"""Linear systems A x = b: conjugate gradients, and minimal residuals once negative curvature shows.

The residual that is given is b - Ax by one more product, not the one of the recurrence. Where it is above the
tolerance, as happens in single precision, the iteration is started again on it (iterative refinement, with x kept in
double precision), as long as that halves it. Products that are rounded to single precision leave a
residual of about 10⁻⁷ ‖A‖ ‖x‖. The error itself is bounded by ‖x - A⁻¹b‖ ≤ ‖b - Ax‖ / min|λ|.

Sources: ``cg``, ``minres``; refinement: Higham, *Accuracy and Stability of Numerical Algorithms*, chapter 12.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.linear_systems.cg import conjugate_gradients
from losscope.estimators.linear_systems.columns import Columns
from losscope.estimators.linear_systems.minres import minimal_residuals
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


def solve(
    op: LinearOperator,
    b: Tensor,
    *,
    rtol: float = 1e-5,
    preconditioner: LinearOperator | None = None,
    seconds: float = math.inf,
    products: int | None = None,
    progress: Progress | None = None,
) -> Solution:
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
    right = b.detach().reshape(op.size, width).to(device=op.device, dtype=torch.float64)
    sizes = right.norm(dim=0)
    x, rest = torch.zeros_like(right), right
    before = torch.full_like(sizes, math.inf)
    indefinite = False
    for _ in range(_ROUNDS):
        norms = rest.norm(dim=0)
        active = (norms > rtol * sizes) & (norms <= before / 2)
        if not bool(active.any()) or budget.left < 2 * int(active.sum()):
            break
        gain, indefinite = _round(budget, rest[:, active], rtol * sizes[active], preconditioner, indefinite)
        tried = x.clone()
        tried[:, active] += gain
        left = rest.clone()
        left[:, active] = right[:, active] - budget.multiply(tried[:, active]).double()
        better = left.norm(dim=0) < norms
        x, rest = torch.where(better, tried, x), torch.where(better, left, rest)
        switched = indefinite and not bool((rest.norm(dim=0) <= rtol * sizes).all())
        before = torch.full_like(before, math.inf) if switched and before.isinf().all() else norms
        if budget.elapsed >= seconds:
            break
    final = torch.where(sizes > 0, rest.norm(dim=0) / sizes.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
    return Solution(
        x=x.reshape(b.shape),
        residuals=tuple(final.tolist()),
        method="minres" if indefinite else "cg",
        products=budget.used,
        seconds=budget.elapsed,
        converged=bool((final <= rtol).all()),
    )


def _round(
    budget: Budget, rest: Tensor, tolerance: Tensor, preconditioner: LinearOperator | None, indefinite: bool
) -> tuple[Tensor, bool]:
    """The correction for residuals [n, k]; a column is scaled to length 1, so that single precision has room."""
    scale = rest.norm(dim=0)
    right = (rest / scale).to(budget.working)
    aim = (tolerance / scale).cpu() / 2  # the recurrence is not the truth
    if not indefinite:
        columns = Columns(budget, right, aim, preconditioner)
        found, indefinite = conjugate_gradients(columns, right)
        if not indefinite or not _room(budget, right):
            return found.double() * scale, indefinite
    columns = Columns(budget, right, aim, preconditioner)
    return minimal_residuals(columns, right).double() * scale, True


def _room(budget: Budget, right: Tensor) -> bool:
    """Whether products and time are left for a step of minimal residuals and a look at the result."""
    return budget.left >= 2 * right.shape[1] and not budget.late


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
