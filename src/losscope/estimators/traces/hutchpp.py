"""The trace by Hutch++: the large eigenvalues exactly, the rest by random signs.

With Q an orthonormal basis of A S, S [n, m] random signs,

    tr A = tr QᵀAQ + tr (I-QQᵀ) A (I-QQᵀ),

where the second trace is sampled as in ``hutchinson``, by signs that are independent of Q. Conditional on Q the
samples are independent and unbiased: the standard error is the usual one. For positive semidefinite A the error
falls as 1/products instead of 1/√products: tr A - tr QᵀAQ is at most about tr A / √m.

Source: Meyer, Musco, Musco and Woodruff, SOSA 2021, arXiv:2010.09649, algorithm 1 and theorem 1.
"""

import math

import torch

from losscope.core.estimate import Estimate
from losscope.estimators.arguments import integer
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.search import Course, resumable
from losscope.estimators.traces.hutchinson import deflated
from losscope.estimators.vectors import Probes, dots, gram, without
from losscope.operators.operator import LinearOperator
from losscope.operators.rounding import rounded

__all__ = ["hutchpp"]


@resumable
def hutchpp(
    op: LinearOperator,
    *,
    rtol: float = 0.02,
    sketch: int = 30,
    seconds: float = math.inf,
    products: int = 1000,
    memory: float = 2**30,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Estimate]:
    """tr A ± its standard error, by two products for each of ``sketch`` columns and one per sample.

    The sketch takes at most two thirds of ``products``, and at most ``memory`` bytes (n × sketch numbers; at least 8
    columns). Ends as ``hutchinson`` does.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> found = hutchpp(Dense(torch.diag(1 / torch.arange(1.0, 501) ** 2)))
    >>> abs(found.value - 1.642936) < 3 * found.stderr < 0.1
    True
    """
    budget = Budget(op, rtol=rtol, seconds=seconds, products=products, progress=progress)
    sketch = integer("sketch", sketch)
    probes = Probes(op, seed)
    width = min(sketch, op.size, products // 3, budget.fitting(memory))
    basis = torch.empty(op.size, 0, dtype=budget.working, device=op.device)
    known = squares = 0.0
    while basis.shape[1] < width and not (basis.shape[1] and budget.late):
        count = budget.block(min(8, width - basis.shape[1]), cost=2)
        found, _ = torch.linalg.qr(budget.multiply(probes.signs(count)))
        fresh, _ = torch.linalg.qr(without(basis, found)[0]) if basis.shape[1] else (found, None)
        fresh, _ = torch.linalg.qr(without(basis, fresh)[0]) if basis.shape[1] else (fresh, None)
        images = budget.multiply(fresh)
        known += float(gram(fresh, images).trace())
        squares += float(dots(images, images).sum())
        basis = torch.cat([basis, fresh], 1)
    if basis.shape[1] == op.size:
        return rounded(known, 0.0, budget.used, budget.elapsed, budget.op.precision)
    if budget.left < 1:
        yield from budget.pause(Estimate(known, math.inf, budget.used, budget.elapsed))
    return (yield from deflated(budget, probes, basis, known, squares))
