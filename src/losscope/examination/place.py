"""The point that is examined: an objective, and what several looks need of it, computed once."""

import time
from functools import cached_property

import torch
from torch import Tensor

from losscope.core.errors import NotReadable
from losscope.core.estimate import Estimate
from losscope.estimators.extremes.lanczos import Eigenpairs, eigsh
from losscope.estimators.traces.gradient_covariance_trace import gradient_covariance_trace
from losscope.estimators.traces.hutchinson import hutchinson
from losscope.objective.objective import Objective
from losscope.operators.gradient_covariance import GradientCovariance
from losscope.operators.hessian import Hessian

_PAIRS = 3
_SHARE = 0.35  # of the time that is left, for one eigenvalue problem


class Place:
    """``deadline`` is in seconds of ``time.perf_counter``."""

    def __init__(self, objective: Objective, deadline: float, seed: int = 0) -> None:
        self.objective, self.deadline, self.seed = objective, deadline, seed

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline - time.perf_counter())

    @cached_property
    def gradient_seconds(self) -> float:
        """What one gradient takes, the unit of cost."""
        _ = self.objective.coefficients  # reads the objective, once
        began = time.perf_counter()
        _ = self.gradient
        return time.perf_counter() - began

    @cached_property
    def value(self) -> float:
        return self.objective.value()

    @cached_property
    def gradient(self) -> Tensor:
        """∇L in float64."""
        return self.objective.gradient().double()

    @cached_property
    def hessian(self) -> Hessian:
        return Hessian(self.objective)

    @cached_property
    def top(self) -> Eigenpairs:
        """The largest eigenvalues of the Hessian."""
        return self._pairs("LA", min(_PAIRS, self.objective.size))

    @cached_property
    def bottom(self) -> Eigenpairs:
        """The smallest eigenvalue of the Hessian."""
        return self._pairs("SA", 1)

    def _pairs(self, which, k: int) -> Eigenpairs:
        rtol = 1e-3 if which == "LA" else 3e-3
        return eigsh(self.hessian, k, which, rtol=rtol, seconds=_SHARE * self.left, seed=self.seed)

    @cached_property
    def noise(self) -> Estimate:
        """tr C of the per-sample gradients: exact by layers, or an estimate."""
        try:
            return gradient_covariance_trace(self.objective)
        except NotReadable:
            covariance = GradientCovariance(self.objective)
            return hutchinson(covariance, rtol=0.1, seconds=0.3 * self.left, seed=self.seed)

    def by_parameter(self, vector: Tensor) -> list[tuple[str, float]]:
        """Share of a unit vector's squared length in each parameter tensor, largest first."""
        names, start, shares = self.objective.names, 0, []
        for name, p in zip(names, self.objective.parameters, strict=True):
            piece = vector[start : start + p.numel()].double()
            shares.append((name, float(piece.square().sum())))
            start += p.numel()
        return sorted(shares, key=lambda item: -item[1])

    def along(self, direction: Tensor, step: float) -> float:
        """L at θ + step · direction."""
        theta = self.objective.theta
        return self.objective.value(theta + step * direction.to(theta))

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)
