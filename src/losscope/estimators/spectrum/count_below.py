"""The number of eigenvalues below a threshold: n times the share that stochastic Lanczos quadrature finds.

The error bar holds the spread over probes and a proven bound of the quadrature's error for a step function (see
``spectral_density``). Eigenvalues at the threshold up to rounding can be on either side: their number is in the error.
For the number of negative eigenvalues where these are few and isolated, ask ``index``.

Source: Di Napoli, Polizzi and Saad, Numer. Linear Algebra Appl. 23 (2016), arXiv:1308.4275.
"""

import math

from losscope.core.estimate import Estimate
from losscope.estimators.arguments import real
from losscope.estimators.search import Course, Progress, mapped, resumable
from losscope.estimators.spectrum.spectral_density import spectral_density
from losscope.operators.operator import LinearOperator

__all__ = ["count_below"]


@resumable
def count_below(
    op: LinearOperator,
    threshold: float = 0.0,
    *,
    probes: int = 10,
    steps: int = 30,
    seconds: float = math.inf,
    products: int = 1000,
    memory: float = 2**30,
    exact: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Estimate]:
    """The number of eigenvalues below ``threshold`` ± its standard error; cost and limits as of ``spectral_density``.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> round(count_below(Dense(torch.diag(torch.arange(10.0))), 2.5).value, 9)
    3.0
    """
    threshold = real("threshold", threshold)
    found = spectral_density.course(
        op,
        probes=probes,
        steps=steps,
        seconds=seconds,
        products=products,
        memory=memory,
        exact=exact,
        seed=seed,
        progress=progress,
    )
    return (yield from mapped(found, lambda density: density.below(threshold).scaled(op.size)))
