"""The index of a symmetric operator: the number of its negative eigenvalues.

**Small** (n ≤ 500, and as many products allowed): all eigenvalues of the whole matrix. Those within rounding of 0,
64 ε ‖A‖, are undecided.

**Otherwise** Lanczos for the smallest eigenvalues (``eigsh``), some at a time. Every vector whose value is not above 0
beyond its error bound is moved out of the way (A + c Σ vvᵀ), and the smallest eigenvalues are asked for again from
another start vector, until all that come are positive. This also finds the copies of eigenvalues that agree, of which
one start vector sees one only.

* ``lower`` is proven: where VᵀAV has m eigenvalues below 0 for orthonormal V, A has at least m (Courant–Fischer). V are
  the vectors that were moved; one product for each makes VᵀAV. Values within rounding of 0 do not count.
* ``upper`` counts all vectors that were moved; it holds unless the last start vector has missed an eigenvalue. It is n
  where the search ended (products, time) before only positive values came: as it does for a network's Hessian with more
  eigenvalues about 0 than there are products.

Source: Parlett, *The Symmetric Eigenvalue Problem*, 1998, section 10.1 and chapter 13.
"""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.exact import dense
from losscope.estimators.extremes.lanczos import Eigenpairs, Lanczos
from losscope.estimators.search import Course, resumable, stages
from losscope.estimators.vectors import gram, without
from losscope.operators.operator import LinearOperator

__all__ = ["Index", "index"]

_DENSE = 500  # size up to which all eigenvalues are made
_MOST = 128  # eigenvalues that are asked for at once
_TINY = (
    64  # multiples of the rounding error, relative to ‖A‖, below which the sign of an eigenvalue is unknown
)


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """``lower`` ≤ number of negative eigenvalues ≤ ``upper``.

    ``smallest`` are the eigenvalues that were found, ``bounds`` of their errors. ``tolerance``: the rounding
    error of the whole matrix; values nearer to 0 have no sign.
    """

    lower: int
    upper: int
    smallest: tuple[float, ...]
    bounds: tuple[float, ...]
    tolerance: float
    products: int
    seconds: float

    @property
    def decided(self) -> bool:
        """Whether the two bounds agree."""
        return self.lower == self.upper

    @property
    def estimate(self) -> Estimate:
        """The lower bound, with the distance to the upper one for the error, which is not exceeded."""
        return Estimate(float(self.lower), float(self.upper - self.lower), self.products, self.seconds)


@resumable
def index(
    op: LinearOperator,
    *,
    rtol: float = 1e-4,
    seconds: float = math.inf,
    products: int = 1000,
    exact: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Index]:
    """The number of negative eigenvalues, between bounds.

    ``rtol``: eigenvalues are found to this part of the largest in absolute value; what is nearer to 0 stays undecided.
    Ends after ``seconds`` or so many ``products`` with what is known then. ``exact=False``: small matrices are
    searched as well. ``progress(products, worst bound)`` is called now and then. Cost and memory: see ``eigsh``.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> found = index(Dense(torch.diag(torch.tensor([-2.0, -1.0, 0.5, 3.0]))))
    >>> found.lower, found.upper, found.decided
    (2, 2, True)
    """
    budget = Budget(op, rtol=rtol, seconds=seconds, products=products, progress=progress)
    whole = dense(budget, _DENSE) if exact else None
    if whole is not None:
        values = torch.linalg.eigvalsh(whole)
        tolerance = _TINY * budget.rounding * float(values.abs().max())
        below, near = int((values < -tolerance).sum()), int((values.abs() <= tolerance).sum())
        budget.report(tolerance)
        bounds = (tolerance,) * len(values)
        return Index(
            below, below + near, tuple(values.tolist()), bounds, tolerance, budget.used, budget.elapsed
        )
    return (yield from _Search(budget, seed).course())


class _Lifted(LinearOperator):
    """A + c Σ vvᵀ: the vectors v [n, m] that were found are moved up by c."""

    def __init__(self, budget: Budget, vectors: Tensor, by: float) -> None:
        super().__init__(budget.op.size, budget.working, budget.op.device)
        self._budget, self._vectors, self._by = budget, vectors, by

    @property
    def precision(self) -> torch.dtype:
        return self._budget.op.precision

    def apply(self, vectors: Tensor) -> Tensor:
        images = self._budget.multiply(vectors)
        return images + self._by * (self._vectors @ (self._vectors.T @ vectors))


class _Search:
    """Orthonormal vectors on whose span A is not clearly positive, and their images."""

    def __init__(self, budget: Budget, seed: int) -> None:
        self.budget, self._seed, self._tolerance = budget, seed, 0.0
        self.held = torch.empty(budget.op.size, 0, dtype=budget.working, device=budget.op.device)
        self._images = self.held
        self._bounds: list[float] = []

    def course(self) -> Course[Index]:
        budget, n, wanted = self.budget, self.budget.op.size, 4
        scale = 0.0
        search = Lanczos(_Lifted(budget, self.held, 0.0), 1, "LM", seed=self._seed)
        for largest, done in stages(search.course(budget, 0.1)):
            scale = abs(largest.values[0]) + largest.residuals[0]
            self._tolerance = _TINY * budget.rounding * scale
            if not done:
                yield from budget.pause(self._result(n))
        while self.held.shape[1] < n:
            if budget.late:
                yield from budget.pause(self._result(n))
            k, lifted = min(wanted, n - self.held.shape[1]), _Lifted(budget, self.held, 1.5 * scale)
            search = Lanczos(lifted, k, "SA", seed=self._seed + self.held.shape[1])
            found, low = None, []
            for found, done in stages(search.course(budget, budget.rtol)):
                low = self._low(found)
                if not done:
                    yield from budget.pause(self._with(found, low)._result(n))
            assert found is not None
            if not low:
                sizes = [max(bound, self._tolerance) for bound in found.bounds]
                return self._result(self.held.shape[1], found.values, sizes)
            while budget.left < len(low):
                yield from budget.pause(self._with(found, low)._result(n))
            self._hold(found, low)
            wanted = min(2 * wanted, _MOST) if len(low) == len(found) else 2
        return self._result(n)

    def _low(self, found: Eigenpairs) -> list[int]:
        """Which of the values are not above 0 beyond their errors."""
        return [i for i, b in enumerate(found.bounds) if found.values[i] <= max(b, self._tolerance)]

    def _hold(self, found: Eigenpairs, low: list[int]) -> None:
        """Move vectors out of the way, as far as products allow to look at them."""
        low = low[: max(0, self.budget.left)]
        if low:
            vectors, _ = torch.linalg.qr(without(self.held, found.vectors[:, low].to(self.held))[0])
            self._images = torch.cat([self._images, self.budget.multiply(vectors)], 1)
            self.held = torch.cat([self.held, vectors], 1)
            self._bounds += [max(found.bounds[i], self._tolerance) for i in low]

    def _with(self, found: Eigenpairs, low: list[int]) -> "_Search":
        """What is known if these vectors are looked at now."""
        other = copy.copy(self)
        other._bounds = list(self._bounds)
        other._hold(found, low)
        return other

    def _result(self, upper: int, others: Iterable[float] = (), sizes: Iterable[float] = ()) -> Index:
        projected = gram(self.held, self._images)
        values = torch.linalg.eigvalsh((projected + projected.T) / 2)
        lower = int((values < -self._tolerance).sum())
        smallest, bounds = (*values.tolist(), *others), (*sorted(self._bounds, reverse=True), *sizes)
        return Index(lower, upper, smallest, bounds, self._tolerance, self.budget.used, self.budget.elapsed)
