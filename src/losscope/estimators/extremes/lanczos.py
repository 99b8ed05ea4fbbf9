"""Extreme eigenvalues of a symmetric operator: Lanczos with full reorthogonalisation and thick restart.

A Ritz value θ with residual r = ‖Av - θv‖ lies within r of an eigenvalue, and within r²/gap where gap is its distance
to the rest of the spectrum (Parlett, *The Symmetric Eigenvalue Problem*, 1998, theorems 4.5.1 and 11.7.1). The smaller
of the two is given as bound, where the gap is that to the next Ritz value less the residuals of both; the iteration
ends when every bound is below ``rtol`` times the largest eigenvalue seen, in absolute value.

Where no gap is known, in a dense part of the spectrum, the bound is the residual and how far the value is still
expected to move: there is an eigenvalue within the residual, but not yet the k-th (near 0 of a Hessian 45 % of the
smallest values lay outside of their residuals; 2.5 % with it).

So ``residuals`` are proven, and the bounds as far as no eigenvalue hides between the Ritz values. A Ritz value between
two eigenvalues of which it has seen one stands still for a step or two; so the iteration ends only after three steps
in which no value left the bound it had before (of spectra with close outliers one value in ten was off without that,
one in five hundred with it: benchmarks/calibration/eigenvalue_bounds.py). Of eigenvalues that agree exactly, one start
vector sees one copy until rounding shows the others. Thick restart: Wu and Simon, SIAM J. Matrix Anal. 22
(2000), doi:10.1137/S0895479898334605.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.arguments import integer
from losscope.estimators.budget import Budget
from losscope.objective.precision import without_autocast
from losscope.operators.operator import LinearOperator

__all__ = ["Eigenpairs", "Lanczos", "eigsh"]

Which = Literal["LA", "SA", "LM"]
_CONFIRMED = 3  # steps that no value may leave its bound; benchmarks/calibration/eigenvalue_bounds.py
_COLUMNS = 1 << 16  # of the basis that are turned at once
_TINY = 64  # multiples of the rounding error below which a new direction is taken for none


@dataclass(frozen=True, slots=True, eq=False)
class Eigenpairs:
    """Eigenvalues with bounds of their errors, best first by ``which``; ``vectors`` [n, k] have length 1.

    ``converged``: every bound is below the tolerance that was asked for. ``residuals`` are ‖Av - λv‖.
    """

    values: tuple[float, ...]
    bounds: tuple[float, ...]
    residuals: tuple[float, ...]
    vectors: Tensor = field(repr=False)
    products: int
    seconds: float
    converged: bool

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Estimate:
        """One eigenvalue; its bound stands for the standard error."""
        return Estimate(self.values[index], self.bounds[index], self.products, self.seconds)


def eigsh(
    op: LinearOperator,
    k: int = 1,
    which: Which = "LA",
    *,
    rtol: float = 1e-3,
    seconds: float = float("inf"),
    products: int = 1000,
    basis: int | None = None,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> Eigenpairs:
    """The k algebraically largest ("LA"), smallest ("SA") or absolutely largest ("LM") eigenvalues.

    Ends at ``rtol``, or after ``seconds`` or so many ``products``, with what is known then. ``basis`` limits
    the vectors that are kept (memory: basis × n numbers); default max(2k + 20, 60). ``progress(products, worst bound)``
    is called now and then. Cost: one product and 4 n × basis multiplications per step.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> found = eigsh(Dense(torch.diag(torch.arange(50.0, dtype=torch.float64))), 2, rtol=1e-8)
    >>> [round(v, 6) for v in found.values], found.converged
    ([49.0, 48.0], True)
    """
    search = Lanczos(op, k, which, basis=basis, seed=seed)
    return search.run(rtol=rtol, seconds=seconds, products=products, progress=progress)


@dataclass(slots=True, eq=False)
class _Ritz:
    """Ritz pairs of the present basis: all values, and place, residual and bound of those that are wanted."""

    all: np.ndarray
    coordinates: np.ndarray
    wanted: np.ndarray
    residuals: np.ndarray
    bounds: np.ndarray
    enough: bool

    @property
    def worst(self) -> float:
        return float(self.bounds.max()) if self.enough else float("inf")


class Lanczos:
    """The search behind :func:`eigsh`, to be continued: a second :meth:`run` goes on where the first one ended.

    What it finds depends on the seed and on the number of products alone, however often it was interrupted. It keeps an
    orthonormal basis V, the projection T = VᵀAV, and the length of the part of A v that leaves V.
    Memory: ``basis`` vectors of n numbers.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> search = Lanczos(Dense(torch.diag(torch.arange(50.0, dtype=torch.float64))), 1)
    >>> search.run(products=5).converged, search.run(rtol=1e-8).converged
    (False, True)
    """

    def __init__(
        self, op: LinearOperator, k: int = 1, which: Which = "LA", *, basis: int | None = None, seed: int = 0
    ) -> None:
        if which not in ("LA", "SA", "LM"):
            raise BadUsage("eigenvalues are chosen by LA, SA or LM", seen=repr(which))
        Budget(op)  # refuses what is no operator
        k, basis = integer("k", k), None if basis is None else integer("basis", basis)
        if k > op.size:
            raise BadUsage(f"an operator of size {op.size} has no {k} eigenvalues", seen=f"k={k}")
        most = min(op.size, basis or max(2 * k + 20, 60))
        self.op, self.k, self.which, self.most = op, k, which, most
        self.random = torch.Generator(device="cpu").manual_seed(seed)
        self.basis = torch.empty(most + 1, op.size, dtype=op.dtype, device=op.device)
        self.projected = np.zeros((most, most))
        self.size, self.beta, self.used = 0, 0.0, 0
        self.scale, self.seconds = 0.0, 0.0
        self._before: tuple[np.ndarray, np.ndarray] | None = None
        self._held, self._looked = 0, 0
        self._past: dict[int, np.ndarray] = {}
        self._put_random()

    @without_autocast()
    def run(
        self,
        *,
        rtol: float = 1e-3,
        seconds: float = float("inf"),
        products: int = 1000,
        progress: Callable[[int, float], None] | None = None,
    ) -> Eigenpairs:
        """Go on until ``rtol`` is reached, or for so many ``seconds`` or ``products`` more.

        A product that would probably end after the time is not begun, but for the first.
        """
        limits = Budget(self.op, rtol=rtol, seconds=seconds, products=products)  # refuses what is no limit
        began, allowed, last = time.perf_counter(), self.used + limits.left, 0.0
        before, late = self.seconds, False
        while True:
            if self.used:
                found = self.ritz()
                if progress is not None:
                    progress(self.used, found.worst)
                if late or self.settled(found, rtol):
                    self.seconds = before + time.perf_counter() - began
                    return self.result(found, rtol, self.seconds)
                if self.full:
                    self.restart(found)
            self.extend()
            now = time.perf_counter() - began
            late = 2 * now - last > seconds or self.used >= allowed
            last = now

    def course(self, budget: Budget, rtol: float, cost: int = 1) -> Generator[Eigenpairs, None, Eigenpairs]:
        """The search within a budget, of which a product of the operator takes ``cost``; yields where it is spent."""
        while True:
            found = self.run(
                rtol=rtol,
                seconds=budget.seconds_left,
                products=max(1, budget.left // cost),
                progress=lambda _, bound: budget.report(bound),
            )
            if found.converged:
                return found
            yield found

    def settled(self, found: _Ritz, rtol: float) -> bool:
        """Whether every bound is small enough, and has been for some steps in which no value moved out of its bound.

        A Ritz value between two eigenvalues of which it has seen one stands still for a step or two.
        """
        if self.exhausted:
            return True
        largest = max(abs(found.all).max(), np.finfo(np.float64).tiny)
        values = found.all[found.wanted]
        if self.used != self._looked:  # not the same look again, after an interruption
            still = self._before is None or bool((abs(values - self._before[0]) <= self._before[1]).all())
            good = found.worst <= rtol * largest and (still or not self._held)
            self._held = self._held + 1 if good else 0
            rounding = _TINY * torch.finfo(self.op.dtype).eps * largest
            self._before = (values, found.bounds + rounding) if good else None
            self._looked = self.used
        return self._held > _CONFIRMED

    @property
    def full(self) -> bool:
        return self.size == self.most

    @property
    def exhausted(self) -> bool:
        """The basis spans everything: what it shows is exact."""
        return self.size == self.op.size

    def extend(self) -> int:
        """One product; the basis grows by one. Returns its size."""
        j = self.size
        vector = self.basis[j]
        image = self.op @ vector
        self.used += 1
        known = self.basis[: j + 1]
        column = np.zeros(j + 1)
        for _ in range(2):  # twice is enough
            overlap = known @ image
            image = image.addmv(known.T, overlap, alpha=-1)
            column += overlap.double().cpu().numpy()
        self.projected[: j + 1, j] = self.projected[j, : j + 1] = column
        self.size = j + 1
        self.scale = max(self.scale, float(np.abs(column).max()))
        self.beta = float(torch.linalg.vector_norm(image, dtype=torch.float64))
        if not np.isfinite(self.beta):
            raise BadUsage("a product with the operator is not finite", seen=str(self.beta))
        if self.size == self.op.size:
            self.beta = 0.0
        elif self.beta <= _TINY * torch.finfo(self.op.dtype).eps * max(self.scale, self.beta):
            self.beta = 0.0  # an invariant subspace: go on in a new direction
            self._put_random()
        else:
            self.basis[self.size] = image / self.beta
        return self.size

    def _put_random(self) -> None:
        drawn = torch.randn(self.op.size, generator=self.random, dtype=torch.float64)
        vector = drawn.to(dtype=self.op.dtype, device=self.op.device)
        known = self.basis[: self.size]
        for _ in range(2):
            vector = vector - known.T @ (known @ vector)
            vector = vector / vector.norm()
        self.basis[self.size] = vector

    def ritz(self) -> _Ritz:
        values, coordinates = np.linalg.eigh(self.projected[: self.size, : self.size])
        order = {"LA": np.argsort(-values), "SA": np.argsort(values), "LM": np.argsort(-np.abs(values))}
        wanted = order[self.which][: self.k]
        every = self.beta * np.abs(coordinates[-1])
        residuals = every[wanted]
        # An eigenvalue may lie nearer than the next Ritz value, by the residual of that one; without one, anywhere.
        apart = np.abs(values[wanted][:, None] - values[None, :]) - every[None, :]
        apart[np.arange(len(wanted)), wanted] = np.inf
        gap = apart.min(1, initial=np.inf) - residuals
        known = (gap > residuals) & np.isfinite(gap)
        sharp = residuals**2 / np.where(known, gap, 1.0)
        bounds = np.where(known, sharp, residuals + self._drift(values[wanted], np.abs(values).max()))
        if self.size == self.op.size:
            bounds = np.zeros_like(residuals)
        enough = self.size >= min(self.k + 1, self.op.size)
        return _Ritz(values, coordinates, wanted, residuals, bounds, enough)

    def _drift(self, values: np.ndarray, size: float) -> np.ndarray:
        """How far values in a dense part of the spectrum, where no gap shields them, will still move.

        They approach the k-th eigenvalue as 1/j² in the steps j: what is left is 4/5 of the way of the last third.
        Before there is such a third, by as much as the operator's ``size``.
        """
        self._past[self.used] = values
        before = self._past.get(2 * self.used // 3)
        if before is None or len(before) < len(values):
            return np.full(len(values), size)
        return 0.8 * np.abs(before - values)

    def restart(self, found: _Ritz) -> None:
        """Keep the wanted Ritz vectors and the ones next to them, and the direction that leaves the basis."""
        keep = min(self.k + (self.most - self.k) // 2, self.most - 1)
        order = {"LA": -found.all, "SA": found.all, "LM": -np.abs(found.all)}[self.which]
        chosen = np.argsort(order)[:keep]
        turn = torch.as_tensor(found.coordinates[:, chosen].T).to(self.basis)
        following = self.basis[self.size].clone()
        for piece in self.basis.split(_COLUMNS, dim=1):  # in place: no second basis
            piece[:keep] = turn @ piece[: self.size]
        self.basis[keep] = following
        self.projected[:] = 0.0
        self.projected[np.arange(keep), np.arange(keep)] = found.all[chosen]
        self.size = keep

    def result(self, found: _Ritz, rtol: float, seconds: float) -> Eigenpairs:
        turn = torch.as_tensor(found.coordinates[:, found.wanted]).to(self.basis)
        largest = max(float(abs(found.all).max()), np.finfo(np.float64).tiny)
        rounding = (
            torch.finfo(self.op.precision).eps * largest
        )  # of the products; no bound is finer than that
        return Eigenpairs(
            values=tuple(found.all[found.wanted].tolist()),
            bounds=tuple(np.maximum(found.bounds, rounding).tolist()),
            residuals=tuple(found.residuals.tolist()),
            vectors=self.basis[: self.size].T @ turn,
            products=self.used,
            seconds=seconds,
            converged=self.exhausted or (found.worst <= rtol * largest and self._held > _CONFIRMED),
        )
