"""The effective dimension (degrees of freedom) tr A(A + δI)⁻¹ of a positive semidefinite operator.

It counts the eigenvalues that are large against the damping δ: n of all where δ → 0, tr A / δ where δ → ∞. For the
Hessian of a loss it is MacKay's number of well-determined parameters; for a kernel matrix with δ = nλ the degrees of
freedom of ridge regression. Sampled by stochastic Lanczos quadrature: for errors and limits see ``trace_function``.

Source: MacKay, Neural Comput. 4 (1992), doi:10.1162/neco.1992.4.3.448; Caponnetto and De Vito,
Found. Comput. Math. 7 (2007), doi:10.1007/s10208-006-0196-8.
"""

import math

from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.arguments import real
from losscope.estimators.search import Course, Progress, resumable
from losscope.estimators.spectrum.trace_function import trace_function
from losscope.operators.operator import LinearOperator

__all__ = ["effective_dimension"]


@resumable
def effective_dimension(
    op: LinearOperator,
    damping: float,
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
    """tr A(A + δI)⁻¹ ± its standard error; cost and limits as of ``trace_function``.

    Negative eigenvalues above -δ count negative; one at or below -δ is an error.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> round(effective_dimension(Dense(torch.diag(torch.tensor([3.0, 1.0, 0.0]))), damping=1.0).value, 6)
    1.25
    """
    damping = real("damping", damping, 0, above=True)

    def share(eigenvalues: Tensor) -> Tensor:
        smallest = float(eigenvalues.min())
        if smallest <= -damping:
            raise BadUsage(
                "an effective dimension needs a positive definite A + δI",
                seen=f"an eigenvalue of A at or below {smallest:.3g}",
                remedy="use a larger damping, or the Gauss-Newton matrix",
            )
        return eigenvalues / (eigenvalues + damping)

    course = trace_function.course(
        op,
        share,
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
