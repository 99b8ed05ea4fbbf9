"""The log-determinant of a positive definite operator: log det A = tr log A, by stochastic Lanczos quadrature.

For errors and limits see ``trace_function``. The Gauss rule of the logarithm lies above the truth for each probe (the
even derivatives of log are negative), so too few steps give too large a value; badly conditioned matrices take about
√κ steps. ``damping`` adds δ to every eigenvalue.

Source: Ubaru, Chen and Saad, SIAM J. Matrix Anal. Appl. 38 (2017), doi:10.1137/16M1104974, section 4.1.
"""

import math

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.arguments import real
from losscope.estimators.search import Course, Progress, resumable
from losscope.estimators.spectrum.trace_function import trace_function
from losscope.operators.operator import LinearOperator

__all__ = ["logdet"]


@resumable
def logdet(
    op: LinearOperator,
    damping: float = 0.0,
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
    """log det (A + δI) ± its standard error; cost and limits as of ``trace_function``.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> round(logdet(Dense(torch.diag(torch.tensor([1.0, 2.0, 4.0])))).value, 6)  # log 8
    2.079442
    """
    damping = real("damping", damping, 0)

    def logarithm(eigenvalues: Tensor) -> Tensor:
        smallest = float(eigenvalues.min()) + damping
        if smallest <= 0:
            raise BadUsage(
                "a log-determinant needs a positive definite operator",
                seen=f"an eigenvalue at or below {smallest:.3g}",
                remedy="add a larger damping",
            )
        return torch.log(eigenvalues + damping)

    course = trace_function.course(
        op,
        logarithm,
        rtol=rtol,
        steps=steps,
        seconds=seconds,
        products=products,
        memory=memory,
        exact=exact,
        seed=seed,
        progress=progress,
    )
    return (yield from course)
