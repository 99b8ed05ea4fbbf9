"""The trace, by what is cheapest for the operator at hand.

0. The Hessian of an objective whose layers give per-sample gradients: in parts, by ``hessian_trace``.
1. n ≤ 64: exactly, as Σ eᵢᵀAeᵢ, by n products.
2. Otherwise ``xtrace`` with 8, 16, 32 … test vectors while that pays: while the variance of its samples falls
   by more than the next doubling costs, or the next doubling is cheap against what else is ahead (a rank that is not
   yet reached looks flat). Of a spectrum that decays this leaves little after few products.
3. On a flat spectrum, where the leave-one-out errors say that deflation gains nothing, and where the range is
   exhausted (low rank), the basis is kept and the rest is sampled by Hutchinson's method, at one product per sample.
   The samples of XTrace and the new ones are uncorrelated and enter one mean.
4. Where all of that is expected to cost more than n products: exactly.

The tolerance is ``rtol · max(|tr A|, ‖A‖_F)``; for the norm and for the rule by which it ends, and why not by luck,
see ``hutchinson``.
"""

import contextlib
import math

import torch

from losscope.core.errors import BadUsage, NotReadable
from losscope.core.estimate import Estimate
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.samples import LEAST, Samples, caution
from losscope.estimators.search import Course, resumable
from losscope.estimators.traces.hessian_trace import course_of_parts
from losscope.estimators.traces.xtrace import LeaveOneOut
from losscope.estimators.vectors import Probes
from losscope.operators.hessian import Hessian
from losscope.operators.operator import LinearOperator
from losscope.operators.rounding import rounded

__all__ = ["trace"]

_SMALL = 64  # size up to which n products are cheap
_TRIAL = 8  # a doubling that costs so many times less than going on without it is tried anyway


@resumable
def trace(
    op: LinearOperator,
    rtol: float = 0.02,
    *,
    seconds: float = math.inf,
    products: int = 1000,
    memory: float = 2**30,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Estimate]:
    """tr A ± its standard error (0: exact).

    Ends at ``rtol``, or after ``seconds`` or so many ``products``, with what is known then. ``memory`` limits the
    bytes of the vectors that are kept. ``progress(products, standard error)`` is called after each block of products.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> trace(Dense(torch.diag(torch.arange(10.0)))).value
    45.0
    """
    budget = Budget(op, rtol=rtol, seconds=seconds, products=products, progress=progress)
    if op.size <= min(_SMALL, products):
        return (yield from _exact(budget))
    if isinstance(op, Hessian) and rtol:
        with contextlib.suppress(NotReadable, BadUsage):  # the way below is for all operators
            found = yield from course_of_parts(op.objective, budget, seed, most=op.size)  # of an exact answer
            if found.stderr <= rtol * abs(found.value):
                return found
            if op.size > budget.left:
                yield from budget.pause(found)
    search = LeaveOneOut(budget, Probes(op, seed))
    most = budget.fitting(memory) // 2
    before, wanted = math.inf, LEAST
    while True:
        while len(search) < wanted and search.grow(min(LEAST, wanted - len(search))):
            if budget.late and len(search) < wanted:
                yield from budget.pause(search.result(search.traces()))
        if search.exhausted:
            return (yield from search.finish())
        traces = search.traces()
        stderr, target = search.stderr(traces), search.target(traces)
        budget.report(stderr)
        if stderr * caution(len(traces)) <= target:
            return search.result(traces)
        if budget.late:
            yield from budget.pause(search.result(traces))
        needed = traces.variance / target**2 if target else math.inf
        whole = op.size if budget.left >= op.size else math.inf
        before = search.plain().variance if before == math.inf else before
        gain = 1 - traces.variance / before if before else 0.0
        rest, doubled = min(needed, whole), 2 * len(search)
        worth = _ahead(needed, gain, doubled) < rest or _TRIAL * doubled <= rest
        if not worth or doubled > min(most, op.size // 2, budget.left):
            exactly = whole <= min(needed, budget.left)
            return (yield from _exact(budget) if exactly else search.finish(traces))
        before, wanted = traces.variance, doubled


def _ahead(needed: float, gain: float, doubled: int) -> float:
    """Products that are needed if the basis is doubled once or more, and each time takes the same part off the rest."""
    ways = [doubled * (2**j - 1) + (1 - gain) ** j * needed for j in range(1, 12)]
    return min(ways) if needed < math.inf else math.inf


def _exact(budget: Budget) -> Course[Estimate]:
    """Σ eᵢᵀAeᵢ; unless time runs out, when the mean of the entries seen stands for the others."""
    n, entries = budget.op.size, Samples()
    if isinstance(budget.op, Hessian) and budget.left > n + 2:
        budget.multiply(Probes(budget.op, 0).signs(2))  # by which it sees whether it is symmetric
    while len(entries) < n:
        if len(entries) and budget.late:
            yield from budget.pause(Estimate(n * entries.mean, math.inf, budget.used, budget.elapsed))
        first, count = len(entries), budget.block(min(LEAST, n - len(entries)))
        vectors = torch.zeros(n, count, dtype=budget.working, device=budget.op.device)
        vectors[range(first, first + count), range(count)] = 1
        images = budget.multiply(vectors)
        entries.extend(images[range(first, first + count), range(count)].tolist())
        budget.report(math.inf if len(entries) < n else 0.0)
    return rounded(n * entries.mean, 0.0, budget.used, budget.elapsed, budget.op.precision)
