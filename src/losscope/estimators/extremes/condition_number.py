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
from losscope.estimators.extremes.lanczos import Lanczos
from losscope.estimators.search import Course, resumable, stages
from losscope.operators.operator import LinearOperator

__all__ = ["condition_number"]

_DENSE = 500  # size up to which all eigenvalues are made
_TINY = 64  # multiples of the rounding error, relative to ‖A‖, that a value may be wrong by


@resumable
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
) -> Course[Estimate]:
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

    damped = _Counted(budget, damping)
    largest = above = rounding = 0.0
    for top, done in stages(Lanczos(damped, 1, "LM", seed=seed).course(budget, rtol)):
        largest, above = abs(top.values[0]), top.bounds[0]
        rounding = _TINY * budget.rounding * largest
        if not done or budget.late:
            yield from budget.pause(_quotient(budget, (largest, above), (largest, math.inf)))
    answer = Estimate(1.0, math.inf)
    for low, done in stages(Lanczos(damped, 1, "SA", seed=seed).course(budget, rtol)):
        value, bound = low.values[0], low.bounds[0] + rounding
        answer = _quotient(budget, (largest, above + rounding), (abs(value), bound))
        if not done:
            yield from budget.pause(answer)
        elif value >= 0:
            return answer
    while budget.left < 2 or budget.overdue:
        yield from budget.pause(answer)
    for inner, done in stages(Lanczos(_Squared(damped), 1, "SA", seed=seed).course(budget, rtol, cost=2)):
        square, error = max(inner.values[0], 0.0), inner.bounds[0] + rounding * largest
        value = math.sqrt(square)
        bound = value - math.sqrt(square - error) if square > error else math.inf
        answer = _quotient(budget, (largest, above + rounding), (value, bound))
        if not done:
            yield from budget.pause(answer)
    return answer


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

    @property
    def precision(self) -> torch.dtype:
        return self._budget.op.precision

    def apply(self, vectors: Tensor) -> Tensor:
        return self._budget.multiply(vectors) + self._damping * vectors


class _Squared(LinearOperator):
    """A², by two products."""

    def __init__(self, inner: LinearOperator) -> None:
        super().__init__(inner.size, inner.dtype, inner.device)
        self._inner = inner

    @property
    def precision(self) -> torch.dtype:
        return self._inner.precision

    def apply(self, vectors: Tensor) -> Tensor:
        return self._inner @ (self._inner @ vectors)
