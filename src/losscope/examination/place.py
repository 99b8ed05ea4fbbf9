"""The point that is examined: an objective, and what several looks need of it, computed once."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from losscope.core.errors import BadUsage, LosscopeError, NotReadable
from losscope.estimators.extremes.lanczos import Eigenpairs, Lanczos, Which
from losscope.estimators.noise.gradient_noise_scale import (
    NoiseScale,
    gradient_noise_scale,
    noise_scale_of_parts,
    penalty_gradient,
)
from losscope.estimators.search import Search
from losscope.objective.objective import Objective
from losscope.operators.hessian import Hessian
from losscope.operators.optimiser_step import Step

_PAIRS = 3
_PARTS = 16  # that the data are dealt into where single samples are out of reach
_SURE = 4.0  # λ of the bound of rounding
_SHARE = 0.35  # of the time that is left, for one eigenvalue problem
_BASIS = 2 << 30  # bytes of the vectors that an eigenvalue search keeps

R = TypeVar("R")


class Place:
    """``deadline`` is in seconds of ``time.perf_counter``. ``cut_short``: something a look used was ended by time.

    ``step`` is that of the optimiser, where it is given; asked for, it raises where it could not be read.
    """

    def __init__(
        self, objective: Objective, deadline: float, seed: int = 0, step: Step | LosscopeError | None = None
    ) -> None:
        self.objective, self.deadline, self.seed, self._step = objective, deadline, seed, step
        self.cut_short = False
        self._gradient_seconds: float | None = None
        self._searches: dict[Which, Lanczos] = {}
        self._found: dict[Which, Eigenpairs] = {}
        self._tried: set[Which] = set()
        self._refused: LosscopeError | None = None
        self._ongoing: dict[str, Search[Any]] = {}

    @property
    def step(self) -> Step | None:
        """What the optimiser does next."""
        if isinstance(self._step, LosscopeError):
            raise self._step
        return self._step

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline - time.perf_counter())

    def go_on(self, deadline: float) -> None:
        """More time: what was cut short may be continued."""
        self.deadline = deadline
        self._tried.clear()

    @property
    def gradient_seconds(self) -> float:
        """What one gradient takes, the unit of cost: as measured, or before that as one forward pass makes expect."""
        return self._expected if self._gradient_seconds is None else self._gradient_seconds

    @cached_property
    def _expected(self) -> float:
        """Three forward passes over the data, judged by that of one batch."""
        began = time.perf_counter()
        _ = self.objective.loss_of(0)
        batches = self.objective.batches
        return 3 * (time.perf_counter() - began) * self.objective.samples / max(batches[0].samples, 1)

    @cached_property
    def value(self) -> float:
        return self.objective.value()

    @cached_property
    def gradient(self) -> Tensor:
        """∇L in float64."""
        _ = self.objective.coefficients  # reads the objective, once
        began = time.perf_counter()
        found = self.objective.gradient()
        self._gradient_seconds = time.perf_counter() - began
        return found.double()

    @cached_property
    def hessian(self) -> Hessian:
        return Hessian(self.objective)

    @property
    def top(self) -> Eigenpairs:
        """The largest eigenvalues of the Hessian."""
        return self._pairs("LA", min(_PAIRS, self.objective.size))

    @property
    def bottom(self) -> Eigenpairs:
        """The smallest eigenvalue of the Hessian."""
        return self._pairs("SA", 1)

    def _pairs(self, which: Which, k: int) -> Eigenpairs:
        """Once for each stretch of time; continued in the next where it did not converge."""
        if self._refused is not None:
            raise self._refused
        found = self._found.get(which)
        if which not in self._tried and (found is None or not found.converged):
            self._tried.add(which)
            search = self._searches.get(which)
            if search is None:
                size = self.hessian.size * self.hessian.dtype.itemsize
                basis = min(max(2 * k + 20, 60), max(2 * k + 4, _BASIS // size))
                search = self._searches[which] = Lanczos(self.hessian, k, which, basis=basis, seed=self.seed)
            rtol = 1e-3 if which == "LA" else 3e-3
            try:
                found = self._found[which] = search.run(rtol=rtol, seconds=_SHARE * self.left)
            except LosscopeError as error:  # no second derivative, or a wrong one: for every look
                self._refused = error
                raise
            if found.converged:
                del self._searches[which]  # its basis is most of the memory
        assert found is not None
        self.cut_short = self.cut_short or not found.converged
        return found

    def stretch(self, name: str, begin: Callable[[], Search[R]], share: float) -> R:
        """What a search of this name finds in a ``share`` of the time that is left, and in the stretches before."""
        if name not in self._ongoing:
            self._ongoing[name] = begin()
        search = self._ongoing[name]
        found = search.run(seconds=share * self.left)
        self.cut_short = self.cut_short or not search.done
        return found

    @cached_property
    def noise(self) -> NoiseScale:
        """tr C, ‖ḡ‖² and their ratio: by single samples, by batches where samples meet, or by random parts.

        Raises ``NotReadable`` where samples meet (batch normalisation in training mode) and there are fewer than three
        batches, ``BadUsage`` where there are fewer than three samples.
        """
        try:
            return gradient_noise_scale(self.objective)
        except NotReadable:
            if self.samples_meet:
                raise
            return noise_scale_of_parts(self.objective, parts=_PARTS, seed=self.seed)

    @cached_property
    def samples_meet(self) -> bool:
        """Whether batch normalisation takes its statistics from the batch: no sample then has a gradient of its own."""
        return any(
            isinstance(module, nn.modules.batchnorm._BatchNorm)
            and (module.training or module.running_mean is None)
            for module in self.objective.whole.model.modules()
        )

    @cached_property
    def rounding(self) -> float:
        """What rounding leaves of ‖∇L‖ where the terms that it is a mean of cancel.

        A sum of n terms is off by λ√n u times their size, u = ½eps, with a probability that tends to 1 in λ (Higham and
        Mary, SIAM J. Sci. Comput. 41 (2019), doi:10.1137/18M1226312, theorem 2.4). The terms are per-sample gradients
        and the penalty's.
        """
        square = float(self.gradient.square().sum()) + 2 * float(
            penalty_gradient(self.objective).square().sum()
        )
        with suppress(NotReadable, BadUsage):  # one term, or they cannot be told apart
            square += self.noise.noise.value
        longest = max(batch.samples for batch in self.objective.batches)
        eps = torch.finfo(self.objective.precision).eps
        return _SURE * 0.5 * eps * math.sqrt(max(longest, 1) * max(square, 0.0))

    def vanishes(self, top: float) -> bool:
        """Whether the gradient is rounding: of its terms, or because θ itself has no more digits.

        With the largest curvature λ, θ that is off by its last digit has a gradient of up to λ eps ‖θ‖.
        """
        norm, size = float(self.gradient.norm()), float(self.objective.theta.double().norm())
        eps = torch.finfo(self.objective.parameters[0].dtype).eps
        if norm <= top * eps * size:
            return True
        far = norm > math.sqrt(eps) * max(top * size, 1.0) and "noise" not in vars(self)
        return not far and norm <= self.rounding

    def by_parameter(self, vector: Tensor) -> list[tuple[str, float]]:
        """Share of a unit vector's squared length in each parameter tensor, largest first."""
        shown = getattr(self.objective.whole.model, "shown_name", str)  # of a rebuilt objective
        names, start, shares = [shown(name) for name in self.objective.names], 0, []
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
