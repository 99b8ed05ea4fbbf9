"""The trace from quadratic forms in random signs (Girard and Hutchinson).

E[xᵀAx] = tr A for independent signs x, with variance 2 Σ_{i≠j} a_ij² ≤ 2 ‖A‖_F². The mean of m samples is given with
the standard error of the mean, which falls as 1/√m: 2 % of the trace of a matrix with r equal eigenvalues takes about
5,000 / r products. Right for flat spectra, hopeless for few large eigenvalues: see ``xtrace``.

**When it ends.** The upper 95 % confidence limit of the standard error must fall below ``rtol · max(|tr A|, ‖A‖_F)``,
after at least 8 samples. A positive semidefinite A has tr A ≥ ‖A‖_F, so the norm matters for indefinite matrices only,
whose trace may be nearly 0, where a relative error means nothing. E‖Ax‖² = ‖A‖_F² comes with the same products.

Source: Hutchinson, Commun. Stat. Simul. 19 (1990), doi:10.1080/03610919008812866; for the variance Avron and Toledo,
J. ACM 58 (2011), doi:10.1145/1944345.1944349.
"""

import math

import torch
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.samples import LEAST, Samples, caution, spread_of_forms, student
from losscope.estimators.search import Course, resumable
from losscope.estimators.vectors import Probes, dots, gram, without
from losscope.operators.operator import LinearOperator

__all__ = ["hutchinson"]


@resumable
def hutchinson(
    op: LinearOperator,
    *,
    rtol: float = 0.02,
    seconds: float = math.inf,
    products: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Estimate]:
    """tr A ± its standard error, by one product per sample.

    Ends at ``rtol``, or after ``seconds`` or so many ``products``, with what is known then; of one sample the error
    is infinite. ``progress(products, standard error)`` is called after each block. Memory: three blocks of 8 vectors.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> hutchinson(Dense(torch.diag(torch.arange(100.0)))).value  # of a diagonal matrix every sample is exact
    4950.0
    """
    budget = Budget(op, rtol=rtol, seconds=seconds, products=products, progress=progress)
    nothing = torch.empty(op.size, 0, dtype=budget.working, device=op.device)
    return (yield from deflated(budget, Probes(op, seed), nothing))


def deflated(
    budget: Budget,
    probes: Probes,
    basis: Tensor,
    known: float = 0.0,
    squares: float = 0.0,
    prior: tuple[int, float, float] = (0, 0.0, 0.0),
) -> Course[Estimate]:
    """tr A = tr QᵀAQ + tr (I-QQᵀ)A(I-QQᵀ) with the second trace sampled, for an orthonormal ``basis`` Q [n, m].

    ``known`` is the first trace, ``squares`` is ‖AQ‖_F². ``prior`` (count, mean, standard
    error) are earlier unbiased samples of tr A, from vectors that are independent of the new ones: uncorrelated with
    these, because the new ones are unbiased whatever Q is, they enter one mean, each sample with the same weight.
    """
    op, fresh, tail, inside = budget.op, Samples(), Samples(), Samples()
    while True:
        vectors = probes.signs(budget.block(LEAST))
        if basis.shape[1]:
            vectors, _ = without(basis, vectors, passes=1)
        images = budget.multiply(vectors)
        fresh.extend((known + dots(vectors, images)).tolist())
        tail.extend(dots(images, images).tolist())
        if basis.shape[1]:
            inside.extend(gram(basis, images).square().sum(0).tolist())
        count = prior[0] + len(fresh)
        value = (prior[0] * prior[1] + len(fresh) * fresh.mean) / count
        own = prior[2] * math.sqrt(prior[0]) if prior[0] else math.inf
        if len(fresh) > 1:
            rest = op.size - basis.shape[1]
            spread = (
                spread_of_forms(tail.mean - inside.mean, fresh.mean - known, rest) if basis.shape[1] else 0.0
            )
            own = student(len(fresh)) * math.sqrt(max(fresh.variance, spread) / len(fresh))
        stderr = math.hypot(prior[0] * prior[2], len(fresh) * own) / count
        frobenius = math.sqrt(squares + tail.mean)
        if basis.shape[1]:
            stderr = math.hypot(stderr, budget.noise(value, frobenius))
        budget.report(stderr)
        target = budget.rtol * max(abs(value), frobenius)
        found = Estimate(value, stderr, budget.used, budget.elapsed)
        if stderr * caution(count) <= target:
            return found
        if budget.late:
            yield from budget.pause(found)
