"""Traces of functions of an operator by stochastic Lanczos quadrature.

tr f(A) = n E[vᵀf(A)v] for v uniform on the unit sphere; each quadratic form by the Gauss rule of k Lanczos steps
(``quadrature``), whose error falls geometrically in k for functions that are analytic around the spectrum. The standard
error is that over probes, together with the change of the mean between k/2 and k steps as a cautious measure of the
quadrature's bias. Where n products are no more than those of 8 probes (and n ≤ 1000), from all eigenvalues: exact.

Source: Ubaru, Chen and Saad, SIAM J. Matrix Anal. Appl. 38 (2017), doi:10.1137/16M1104974, theorem 4.1.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.arguments import integer
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.exact import dense
from losscope.estimators.samples import LEAST, caution
from losscope.estimators.search import Course, resumable
from losscope.estimators.spectrum.quadrature import eigenvalue_rule
from losscope.estimators.spectrum.spectral_density import SpectralDensity, densities
from losscope.estimators.vectors import Probes
from losscope.operators.operator import LinearOperator

__all__ = ["trace_function"]

_DENSE = 1000  # size up to which all eigenvalues are made, where that takes no more products


@resumable
def trace_function(
    op: LinearOperator,
    function: Callable[[Tensor], Tensor],
    *,
    rtol: float = 0.02,
    steps: int = 30,
    seconds: float = math.inf,
    products: int = 1000,
    memory: float = 2**30,
    exact: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Estimate]:
    """tr f(A) ± its standard error; f takes tensors of eigenvalues.

    Ends where the upper 95 % confidence limit of the error over probes is below ``rtol · max(|tr f(A)|, ‖f(A)‖_F)``, or
    after ``seconds`` or so many ``products``. The bias of the quadrature is in the standard error, but is not what it
    waits for: more ``steps`` make it smaller. ``exact=False``: also small matrices are sampled.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> trace_function(Dense(torch.diag(torch.tensor([1.0, 4.0, 9.0]))), torch.sqrt).value
    6.0
    """
    budget = Budget(op, rtol=rtol, seconds=seconds, products=products, progress=progress)
    steps = integer("steps", steps)
    n = op.size
    whole = dense(budget, min(_DENSE, LEAST * steps)) if exact else None
    if whole is not None:
        rule = eigenvalue_rule(torch.linalg.eigvalsh(whole), budget.rounding)
        found = _mean(SpectralDensity(rule, n, budget.used, budget.elapsed), function)
        budget.report(0.0)
        return found.scaled(n)
    for density, done in densities(budget, Probes(op, seed), math.inf, steps, memory, at_once=LEAST):
        rule = density.rule
        found = _mean(density, function).scaled(n)
        budget.report(found.stderr)
        samples = (function(rule.nodes) * rule.weights).sum(1)
        spread = n * float(samples.std()) / math.sqrt(len(samples)) if len(samples) > 1 else math.inf
        frobenius = math.sqrt(n * float((function(rule.nodes) ** 2 * rule.weights).sum(1).mean()))
        if done and spread * caution(len(samples)) <= rtol * max(abs(found.value), frobenius):
            return found
        if not done or budget.overdue or budget.left < min(steps, n):
            yield from budget.pause(found)
    raise AssertionError("groups do not end")


def _mean(density: SpectralDensity, function: Callable[[Tensor], Tensor]) -> Estimate:
    found = density.mean(function)
    if not math.isfinite(found.value):
        where = density.nodes[~function(density.nodes).isfinite()]
        raise BadUsage("the function is not finite on the spectrum", seen=f"at {float(where[0]):.3g}")
    return found
