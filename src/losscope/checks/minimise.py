"""Numeric minimisation of a function of a vector in float64, without a demand on its smoothness."""

import math
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from losscope.checks.subject import Raised

Function = Callable[[Tensor], Tensor]
_WORST = 1e250


def minimise(f: Function, start: Tensor, *, steps: int = 200, bound: float = 45.0) -> tuple[Tensor, float]:
    """The best point that L-BFGS-B reaches from ``start`` within ±``bound``, and its value.

    Where f has kinks or sends no gradient it may stop early: the value is an upper bound of the minimum.
    """
    from scipy.optimize import minimize  # lazy: 0.2 s to import

    best: list = [start.detach().clone(), math.inf]

    def both(x: np.ndarray) -> tuple[float, np.ndarray]:
        leaf = torch.from_numpy(x.copy()).requires_grad_()
        value = f(leaf)
        number = float(value.detach())
        if not math.isfinite(number):
            return _WORST, np.zeros_like(x)
        if number < best[1]:
            best[:] = leaf.detach(), number
        if not value.requires_grad:
            return number, np.zeros_like(x)
        try:
            (slope,) = torch.autograd.grad(value, leaf, allow_unused=True)
        except Exception as error:
            raise Raised(error) from error
        return number, np.zeros_like(x) if slope is None else np.nan_to_num(slope.numpy())

    x = start.detach().clamp(-bound, bound).to(torch.float64).numpy()
    options = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-16, "gtol": 1e-13}
    minimize(both, x, jac=True, method="L-BFGS-B", bounds=[(-bound, bound)] * len(x), options=options)
    return best[0], best[1]


def polish(f: Function, start: Tensor, *, evaluations: int = 600) -> tuple[Tensor, float]:
    """The best point that a simplex search (Nelder and Mead) reaches: it needs no gradient. For few dimensions."""
    from scipy.optimize import minimize  # lazy: 0.2 s to import

    def value(x: np.ndarray) -> float:
        with torch.no_grad():
            number = float(f(torch.from_numpy(x.copy())))
        return number if math.isfinite(number) else _WORST

    options = {"maxfev": evaluations, "xatol": 1e-12, "fatol": 1e-15, "adaptive": True}
    found = minimize(value, start.detach().numpy(), method="Nelder-Mead", options=options)
    return torch.from_numpy(found.x), float(found.fun)


def minima(
    f: Function, starts: Iterable[Tensor], seconds: float = 0.5, *, polished: int = 6, steps: int = 200
) -> list[tuple[Tensor, float]]:
    """Where the searches from ``starts`` end, best first. Vectors of at most ``polished`` numbers are polished too.

    No search begins after ``seconds``, except the first.
    """
    deadline = time.monotonic() + seconds
    ends: list[tuple[Tensor, float]] = []
    for start in starts:
        if ends and time.monotonic() > deadline:
            break
        end = minimise(f, start, steps=steps)
        if 0 < len(start) <= polished:
            end = min(end, polish(f, end[0]), key=lambda pair: pair[1])
        ends.append(end)
    return sorted(ends, key=lambda pair: pair[1])
