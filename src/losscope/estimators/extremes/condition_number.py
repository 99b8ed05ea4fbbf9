"""The condition number of a symmetric operator, κ = max|λ| / min|λ|.

**Small** (n ≤ 500, and as many products allowed): from all eigenvalues.

**Otherwise** the largest in absolute value and the smallest by Lanczos (``eigsh``). If the smallest is positive beyond
its bound, it is min|λ|. If A is indefinite, min|λ| lies inside the spectrum, and is √ of the smallest eigenvalue of A²
(two products per step), which is slow, and blind below √ε max|λ|.

The error follows from the bounds of the two eigenvalues. Where min|λ| is not above its bound (the matrix may be
singular) the value is only a lower bound of κ, and its error infinite.

By Lanczos the value is never too large, but for rounding: Ritz values lie inside the spectrum. It is too small, by
more than the error, where the search has ended at an eigenvalue next to the smallest: a smaller ``rtol`` tells.

Source: Parlett, *The Symmetric Eigenvalue Problem*, 1998, chapter 13.
"""

import math

import torch
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.estimators.arguments import real
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.exact import dense
from losscope.estimators.extremes.lanczos import Eigenpairs, Which, eigsh
from losscope.operators.operator import LinearOperator

__all__ = ["condition_number"]

_DENSE = 500  # size up to which all eigenvalues are made
_TINY = 64  # multiples of the rounding error, relative to ‖A‖, that a value may be wrong by


def condition_number(
    op: LinearOperator,
    damping: float = 0.0,
    *,
    rtol: float = 1e-4,
    seconds: float = math.inf,
    products: int = 1000,
    exact: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Estimate:
    """κ(A + δI); the error is a bound, and infinite where the matrix may be singular: then κ is at least the value.

    Eigenvalues are found to ``rtol`` times the largest: beyond κ = 1 / rtol the error is large, unless the search finds
    them better than asked for. Ends after ``seconds`` or so many ``products`` with what is known then. ``exact=False``:
    small matrices are searched as well. Cost and memory: see ``eigsh``.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> round(condition_number(Dense(torch.diag(torch.tensor([-2.0, 4.0, 8.0])))).value, 4)
    4.0
    """
    damping = real("damping", damping)
    budget = Budget(op, rtol=rtol, seconds=seconds, products=products, progress=progress)
    whole = dense(budget, _DENSE) if exact else None
    if whole is not None:
        sizes = (torch.linalg.eigvalsh(whole) + damping).abs()
        largest, smallest = float(sizes.max()), float(sizes.min())
        error = _TINY * budget.rounding * largest
        budget.report(error)
        return _quotient(budget, (largest, error), (smallest, error))

    def search(of: LinearOperator, which: Which, cost: int = 1) -> Eigenpairs:
        return eigsh(
            of,
            1,
            which,
            rtol=rtol,
            seconds=max(0.0, seconds - budget.elapsed),
            products=budget.left // cost,
            seed=seed,
            progress=lambda _, bound: budget.report(bound),
        )

    damped = _Counted(budget, damping)
    top = search(damped, "LM")
    largest = abs(top.values[0])
    rounding = _TINY * budget.rounding * largest
    if budget.late:
        return _quotient(budget, (largest, top.bounds[0]), (largest, math.inf))
    low = search(damped, "SA")
    value, bound = low.values[0], low.bounds[0] + rounding
    if value < 0 and budget.left >= 2 and not budget.late:
        inner = search(_Squared(damped), "SA", cost=2)
        square, error = max(inner.values[0], 0.0), inner.bounds[0] + rounding * largest
        value = math.sqrt(square)
        bound = value - math.sqrt(square - error) if square > error else math.inf
    return _quotient(budget, (largest, top.bounds[0] + rounding), (abs(value), bound))


def _quotient(budget: Budget, top: tuple[float, float], low: tuple[float, float]) -> Estimate:
    """The quotient of two numbers with error bounds, and its bound."""
    (largest, above), (smallest, below) = top, low
    if not smallest > below:  # it may be 0
        floor = min(smallest + below, largest)
        value = (largest - above) / floor if floor > 0 else math.inf
        return Estimate(max(1.0, value), math.inf, budget.used, budget.elapsed)
    value = largest / smallest
    error = max(
        (largest + above) / (smallest - below) - value, value - (largest - above) / (smallest + below)
    )
    return Estimate(value, error, budget.used, budget.elapsed)


class _Counted(LinearOperator):
    """A + δI, whose products are the budget's."""

    def __init__(self, budget: Budget, damping: float) -> None:
        super().__init__(budget.op.size, budget.working, budget.op.device)
        self._budget, self._damping = budget, damping

    def apply(self, vectors: Tensor) -> Tensor:
        return self._budget.multiply(vectors) + self._damping * vectors


class _Squared(LinearOperator):
    """A², by two products."""

    def __init__(self, inner: LinearOperator) -> None:
        super().__init__(inner.size, inner.dtype, inner.device)
        self._inner = inner

    def apply(self, vectors: Tensor) -> Tensor:
        return self._inner @ (self._inner @ vectors)
