"""Numeric minimisation of a function of a vector in float64, without a demand on its smoothness.

Limits are seconds of this process's own time, so that a busy machine does not change what is found. A slow one does:
every search says whether it came to its end, and what follows from a search that did not is an upper bound alone.
"""

import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from losscope.checks.subject import Raised

Function = Callable[[Tensor], Tensor]
_WORST = 1e250
_FLAT = 1e-7


class _OutOfTime(Exception):
    pass


class _Search:
    """A function as SciPy wants it, which remembers the best point and stops at a deadline."""

    def __init__(self, f: Function, deadline: float) -> None:
        self.f, self.deadline = f, deadline
        self.best: Tensor | None = None
        self.value, self.slope = math.inf, math.inf

    def with_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self._check()
        leaf = torch.from_numpy(x.copy()).requires_grad_()
        value = self.f(leaf)
        number = float(value.detach())
        if not math.isfinite(number):
            return _WORST, np.zeros_like(x)
        slope = np.zeros_like(x)
        if value.requires_grad:
            try:
                (found,) = torch.autograd.grad(value, leaf, allow_unused=True)
            except Exception as error:
                raise Raised(error) from error
            slope = slope if found is None else np.nan_to_num(found.numpy())
        self._take(leaf.detach(), number, float(np.abs(slope).max(initial=0.0)))
        return number, slope

    def without(self, x: np.ndarray) -> float:
        self._check()
        point = torch.from_numpy(x.copy())
        with torch.no_grad():
            number = float(self.f(point))
        if not math.isfinite(number):
            return _WORST
        self._take(point, number, math.inf)
        return number

    def _take(self, point: Tensor, number: float, slope: float) -> None:
        if number < self.value:
            self.best, self.value, self.slope = point, number, slope

    def _check(self) -> None:
        if self.best is not None and time.process_time() > self.deadline:
            raise _OutOfTime


class Minimum(NamedTuple):
    """The best point of a search and its value, an upper bound of the minimum; ``done``: time did not end it."""

    at: Tensor
    value: float
    done: bool


class Minima(NamedTuple):
    """Where several searches ended, best first; ``done``: time ended none of them, nor kept one from beginning."""

    ends: list[tuple[Tensor, float]]
    done: bool


def now() -> float:
    """Seconds of this process's own time; loading the optimiser is not charged to who reads the clock first."""
    import scipy.optimize  # lazy: 0.2 s  # noqa: F401

    return time.process_time()


def minimise(
    f: Function,
    start: Tensor,
    *,
    steps: int = 200,
    bound: float = 45.0,
    seconds: float = 1.0,
    polished: int = 6,
) -> Minimum:
    """The best point found from ``start`` within ±``bound``.

    L-BFGS-B, which may stop early at a kink or where no gradient arrives; vectors of at most ``polished`` numbers
    then get a simplex search (Nelder and Mead).
    """
    search = _Search(f, now() + seconds)
    from scipy.optimize import minimize  # lazy: loaded by ``now``

    x = start.detach().clamp(-bound, bound).to(torch.float64).numpy()
    smooth = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-16, "gtol": 1e-13}
    simplex = {"maxfev": 3 * steps, "xatol": 1e-12, "fatol": 1e-15, "adaptive": True}
    try:
        bounds = [(-bound, bound)] * len(x)
        minimize(search.with_gradient, x, jac=True, method="L-BFGS-B", bounds=bounds, options=smooth)
        kinked = search.slope > _FLAT * (1 + abs(search.value)) or search.slope == 0.0
        if search.best is not None and 0 < len(x) <= polished and kinked:
            minimize(search.without, search.best.numpy(), method="Nelder-Mead", options=simplex)
        done = True
    except _OutOfTime:
        done = False
    return Minimum(start.detach().clone() if search.best is None else search.best, search.value, done)


def minima(
    f: Function,
    starts: Iterable[Tensor],
    seconds: float = 0.5,
    *,
    polished: int = 6,
    steps: int = 200,
    bound: float = 45.0,
    goal: float = -math.inf,
) -> Minima:
    """Where the searches from ``starts`` end.

    No search begins after ``seconds``, except the first, nor once the ``goal`` is reached.
    """
    deadline = now() + seconds
    found: list[Minimum] = []
    for start in starts:
        left = deadline - time.process_time()
        late = left < 0
        if found and (late or min(end.value for end in found) <= goal):
            break
        share = max(left, seconds / 2)
        found.append(minimise(f, start, steps=steps, seconds=share, polished=polished, bound=bound))
    else:
        late = False
    ends = sorted(((end.at, end.value) for end in found), key=lambda pair: pair[1])
    return Minima(ends, not late and all(end.done for end in found))
