"""Adaptive sharpness: the largest rise of the loss if every weight moves by at most a part of itself.

max L(θ + c∘u) - L(θ) over ‖u‖_p ≤ ρ with c = |θ| (Kwon, Kim, Park and Choi, 2021, arXiv:2102.11600, for p = 2;
Andriushchenko et al., 2023, arXiv:2302.07011, for p = ∞ and the average case, which is ``expected_rise`` with
``element_scaled``). Unchanged if ReLU units are rescaled, unlike the plain sharpness with c = 1. The latter paper's
finding for modern networks is a warning: neither correlates well with generalisation across training settings.

The maximum is searched by u ← argmax ⟨∇_u L(u), u'⟩ over the ball, which is ρ g/‖g‖ for p = 2 and ρ sign g for p = ∞:
on a convex function each step rises (the generalised power method, Journée et al., 2010, arXiv:0811.4724); elsewhere
steps that fall are undone by halving them. It starts from the gradient, as ASAM's first step, and from random
directions. What it finds is a lower bound of the maximum, exact at second order: ½ρ² λmax(CHC) at a minimum for p = 2.
"""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.arguments import integer, real
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast

__all__ = ["WorstRise", "adaptive_sharpness"]

_HALVINGS = 5


@dataclass(frozen=True, slots=True, eq=False)
class WorstRise:
    """``rise`` is the best that was found, a lower bound of the maximum (nothing random is left in it: stderr 0).

    ``starts`` are the rises found from each start: where they agree, the maximum was probably found. ``displacement``
    [P] attains it. ``converged``: the best start ended by itself.
    """

    rise: Estimate
    starts: tuple[float, ...]
    displacement: Tensor
    converged: bool


@without_autocast()
def adaptive_sharpness(
    objective: Objective,
    rho: float,
    *,
    norm: float = 2.0,
    adaptive: bool = True,
    steps: int = 30,
    starts: int = 3,
    rtol: float = 1e-3,
    seconds: float = math.inf,
    seed: int = 0,
) -> WorstRise:
    """The largest rise over ‖δ/c‖ ≤ rho, c = |θ| (1 with ``adaptive=False``), in the 2-norm or the maximum norm.

    Cost: up to ``steps`` gradients from each of ``starts``. A point at which the loss is not finite is not gone to.
    """
    rho, steps, starts = real("rho", rho, 0, above=True), integer("steps", steps), integer("starts", starts)
    if norm not in (2.0, math.inf):
        raise BadUsage("norm is 2 or infinity", seen=f"norm={norm!r}")
    search = _Search(objective, rho, norm, adaptive)
    if not math.isfinite(search.value):
        raise BadUsage("the loss is not a finite number here", seen=str(search.value))
    began, random = time.perf_counter(), torch.Generator().manual_seed(seed)
    slope = search.slope(torch.zeros_like(search.theta))
    found: list[tuple[float, Tensor, bool]] = []
    for number in range(starts):
        if found and time.perf_counter() - began >= seconds:
            break
        z = torch.randn(search.theta.shape, generator=random, dtype=torch.float64).to(search.theta)
        direction = slope if number == 0 and bool((slope != 0).any()) else z
        found.append(search.climb(direction, steps, rtol, began + seconds))
    value, u, ended = max(found, key=lambda item: item[0])
    if value < 0:  # a maximum: the worst is not to move
        value, u = 0.0, torch.zeros_like(u)
    rise = Estimate(value, 0.0, search.gradients, time.perf_counter() - began)
    return WorstRise(rise, tuple(v for v, _, _ in found), search.scale * u, ended)


class _Search:
    def __init__(self, objective: Objective, rho: float, norm: float, adaptive: bool) -> None:
        self._objective, self._rho, self._norm = objective, rho, norm
        self.theta, self.value, self.gradients = objective.theta, objective.value(), 0
        self.scale = self.theta.abs() if adaptive else torch.ones_like(self.theta)

    def slope(self, u: Tensor) -> Tensor:
        """∇_u L(θ + c∘u)."""
        self.gradients += 1
        return self.scale * self._objective.gradient(self.theta + self.scale * u)

    def rise(self, u: Tensor) -> float:
        return self._objective.value(self.theta + self.scale * u) - self.value

    def onto(self, g: Tensor) -> Tensor:
        """The point of the ball that is furthest along g."""
        if self._norm == 2.0:
            return self._rho * g / g.double().norm().to(g).clamp_min(torch.finfo(g.dtype).tiny)
        return self._rho * g.sign()

    def climb(
        self, direction: Tensor, steps: int, rtol: float, deadline: float
    ) -> tuple[float, Tensor, bool]:
        u = self.onto(direction)
        best = self.rise(u)
        if not math.isfinite(best):  # nearer by, if it must be
            u, best = torch.zeros_like(u), 0.0
        for _ in range(steps):
            g = self.slope(u)
            if time.perf_counter() >= deadline or not bool(torch.isfinite(g).all()):
                return best, u, False
            if not bool((g != 0).any()):
                return best, u, True
            step = self.onto(g) - u
            for halving in range(_HALVINGS):
                trial = u + step / 2**halving
                value = self.rise(trial)
                if math.isfinite(value) and value > best:
                    break
            else:
                return best, u, True
            gained, best, u = value - best, value, trial
            if gained <= rtol * abs(best):
                return best, u, True
        return best, u, False
