"""The diagonal: E[x ∘ Ax] = diag A for independent signs x.

The variance of entry i is Σ_{j≠i} a_ij², estimated by the spread of the samples, entry by entry; with signs
x ∘ x = 1, and the quotient of the paper is the mean. Where n products are allowed and no more than the random way
would need, and for n ≤ 64, the diagonal is read off: eᵢᵀAeᵢ.

**When it ends.** The upper 95 % confidence limit of ‖stderr‖₂ must fall below ``rtol ‖diag A‖₂`` (from which the part
that is noise is taken off), after at least 8 products. That is a statement about the whole diagonal: entries far below
the root mean square have relative errors far above ``rtol``, and their own standard errors say so.

Source: Bekas, Kokiopoulou and Saad, Appl. Numer. Math. 57 (2007), doi:10.1016/j.apnum.2007.01.003, section 2.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.samples import LEAST, caution
from losscope.estimators.search import Course, resumable
from losscope.estimators.vectors import Probes
from losscope.operators.operator import LinearOperator

__all__ = ["Diagonal", "diagonal"]

_SMALL = 64  # size up to which n products are cheap


@dataclass(frozen=True, slots=True, eq=False)
class Diagonal:
    """Entries [n] and their standard errors [n] (0: exact), in double precision.

    ``converged``: the errors are below the tolerance that was asked for.
    """

    values: Tensor = field(repr=False)
    stderrs: Tensor = field(repr=False)
    products: int
    seconds: float
    converged: bool

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Estimate:
        """One entry."""
        return Estimate(float(self.values[index]), float(self.stderrs[index]), self.products, self.seconds)


@resumable
def diagonal(
    op: LinearOperator,
    rtol: float = 0.05,
    *,
    seconds: float = math.inf,
    products: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Diagonal]:
    """diag A with a standard error for each entry.

    Ends at ``rtol``, or after ``seconds`` or so many ``products``, with what is known then; of one sample the errors
    are infinite. ``progress(products, ‖stderr‖₂)`` is called after each block. Memory: two sums of n doubles and three
    blocks of 8 vectors.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> diagonal(Dense(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))).values.tolist()
    [2.0, 3.0]
    """
    budget = Budget(op, rtol=rtol, seconds=seconds, products=products, progress=progress)
    if op.size <= min(_SMALL, products):
        return (yield from _exact(budget))
    probes, count = Probes(op, seed), 0
    mean = torch.zeros(op.size, dtype=torch.float64, device=op.device)
    spread = torch.zeros_like(mean)  # Σ (sample - mean)²
    while True:
        vectors = probes.signs(budget.block(LEAST))
        samples = (vectors * budget.multiply(vectors)).double()
        fresh, middle = samples.shape[1], samples.mean(1)
        away = middle - mean  # two sets of samples are put together: Chan, Golub and LeVeque 1983
        spread += (samples - middle[:, None]).square().sum(1) + away**2 * (count * fresh / (count + fresh))
        count += fresh
        mean += away * (fresh / count)
        noise = float(spread.sum()) / (count - 1) / count if count > 1 else math.inf
        budget.report(math.sqrt(noise))
        target = rtol**2 * max(float(mean.square().sum()) - noise, 0.0) if noise < math.inf else 0.0
        converged = noise * caution(count) ** 2 <= target
        if converged or budget.late:
            stderrs = (spread / ((count - 1) * count)).sqrt() if count > 1 else mean + math.inf
            found = Diagonal(mean.clone(), stderrs, budget.used, budget.elapsed, converged)
            if converged:
                return found
            yield from budget.pause(found)
        if op.size <= budget.left and noise * count > op.size * target:
            return (yield from _exact(budget))


def _exact(budget: Budget) -> Course[Diagonal]:
    """eᵢᵀAeᵢ; entries that time does not suffice for are unknown, with an infinite error."""
    n = budget.op.size
    values = torch.zeros(n, dtype=torch.float64, device=budget.op.device)
    stderrs = torch.full_like(values, math.inf)
    first = 0
    while first < n:
        if first and budget.late:
            known = values.clone(), stderrs.clone()
            yield from budget.pause(Diagonal(*known, budget.used, budget.elapsed, False))
        last = first + budget.block(min(LEAST, n - first))
        vectors = torch.zeros(n, last - first, dtype=budget.working, device=budget.op.device)
        vectors[range(first, last), range(last - first)] = 1
        values[first:last] = budget.multiply(vectors)[first:last].diagonal().double()
        stderrs[first:last] = 0
        first = last
        budget.report(0.0 if first == n else math.inf)
    return Diagonal(values, stderrs, budget.used, budget.elapsed, True)
