"""What an estimate may cost, what it has cost, and the products themselves, which must be finite."""

import math
import sys
from collections.abc import Generator
from time import perf_counter
from typing import TypeVar

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.estimators.arguments import integer, real
from losscope.estimators.search import Progress, Stretch
from losscope.operators.operator import LinearOperator

R = TypeVar("R")


class Budget:
    """Products and seconds of one estimate.

    The limit of products is never exceeded. That of time is looked at between blocks: one block is always done. At a
    :meth:`pause` the estimate so far is given, and new limits are taken for what comes.
    """

    def __init__(
        self,
        op: LinearOperator,
        *,
        rtol: float = 0.0,
        seconds: float = math.inf,
        products: float = 1000,
        progress: Progress | None = None,
    ) -> None:
        if not isinstance(op, LinearOperator):
            raise BadUsage(
                "an estimate is one of a losscope.operators.LinearOperator",
                seen=type(op).__name__,
                remedy="Hessian(objective), or Dense(matrix) for a matrix",
            )
        self.rtol = real("rtol", rtol, 0)
        self._limit(seconds, products)
        if op.size < 1:
            raise BadUsage("an operator of size 0 has nothing to estimate", seen=repr(op))
        if not op.dtype.is_floating_point:
            raise BadUsage("an operator has real floating-point numbers", seen=str(op.dtype))
        self.op = op
        self.used = 0
        self._progress = progress
        self._began, self._before = perf_counter(), 0.0

    def _limit(self, seconds: float, products: float) -> None:
        self._seconds = seconds if seconds == math.inf else real("seconds", seconds, 0)
        self._products = sys.maxsize if products == math.inf else integer("products", products)

    def pause(self, found: R) -> Generator[R, Stretch, None]:
        """Answer with what is known; go on when asked to."""
        spent = self.elapsed
        more = yield found
        self._limit(more.seconds, more.products)
        self._products += self.used
        self._progress = more.progress
        self._began, self._before = perf_counter(), spent

    @property
    def left(self) -> int:
        """Products that may still be made."""
        return self._products - self.used

    @property
    def elapsed(self) -> float:
        """Seconds of work, pauses left out."""
        return self._before + perf_counter() - self._began

    @property
    def seconds_left(self) -> float:
        """Seconds until this stretch is over."""
        return max(0.0, self._seconds - (perf_counter() - self._began))

    @property
    def overdue(self) -> bool:
        """Whether time has run out."""
        return not self.seconds_left

    @property
    def late(self) -> bool:
        """Whether time or products have run out."""
        return self.left < 1 or self.overdue

    @property
    def working(self) -> torch.dtype:
        """The type that vectors are kept in: double for a double operator, else single."""
        return torch.float64 if self.op.dtype == torch.float64 else torch.float32

    @property
    def rounding(self) -> float:
        """The relative error of one rounding in the type that the operator's products are computed in."""
        return torch.finfo(self.op.precision).eps

    def noise(self, trace: float, frobenius: float) -> float:
        """What rounding does to a trace: of the products in the operator's type, of the sums in double precision."""
        return 4 * (self.rounding * frobenius + torch.finfo(torch.float64).eps * abs(trace))

    def fitting(self, memory: float) -> int:
        """How many vectors fit into so many bytes; at least 8."""
        return max(8, int(memory / self.op.size / torch.finfo(self.working).bits * 8))

    def block(self, wanted: int, cost: int = 1) -> int:
        """How many of ``wanted`` vectors may be worked on at once, at ``cost`` products each; 0 if none."""
        fitting = max(1, (1 << 27) // self.op.size)
        return max(0, min(wanted, fitting, self.left // cost))

    def multiply(self, vectors: Tensor) -> Tensor:
        """The products A V, counted."""
        self.used += 1 if vectors.dim() == 1 else vectors.shape[1]
        images = (self.op @ vectors).to(self.working)
        if not math.isfinite(float(images.sum(dtype=torch.float64))):
            raise BadUsage("a product with the operator is not finite", seen=repr(self.op))
        return images

    def report(self, error: float) -> None:
        """Tell the caller how far it is."""
        if self._progress is not None:
            self._progress(self.used, error)
