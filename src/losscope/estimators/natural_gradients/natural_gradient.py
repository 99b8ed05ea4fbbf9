"""The natural gradient F⁻¹∇L: the direction of steepest descent where distance is that between predicted distributions.

Its step does not depend on how the model is parametrised, up to the curvature of the reparametrisation; for a model
that is linear in θ with a Gaussian likelihood a step of length 1 is Newton's, which lands on the least-squares
solution (Amari, 1998, doi:10.1162/089976698300017746; Martens, 2020, arXiv:1412.1193).
"""

import math
import time
from dataclasses import dataclass, field

from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.arguments import real
from losscope.estimators.budget import Progress
from losscope.estimators.linear_systems.solve import solve
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.fisher import Fisher
from losscope.operators.operator import LinearOperator
from losscope.operators.structured.block_diagonal import BlockDiagonal

__all__ = ["NaturalGradient", "natural_gradient"]


@dataclass(frozen=True, slots=True, eq=False)
class NaturalGradient:
    """``direction`` [P] in double precision: a step is θ ← θ - η · direction.

    ``residual`` is ‖∇L - (F + δI) direction‖ / ‖∇L‖, and ``converged`` whether it is below the tolerance.
    ``decrement`` is ∇Lᵀ direction, what a small step gains per η; its error is a bound, residual · ‖∇L‖ ‖direction‖.
    """

    direction: Tensor = field(repr=False)
    decrement: Estimate
    residual: float
    products: int
    seconds: float
    converged: bool


@without_autocast()
def natural_gradient(
    objective: Objective,
    fisher: LinearOperator | None = None,
    damping: float = 0.0,
    *,
    rtol: float = 1e-5,
    seconds: float = math.inf,
    products: int = 1000,
    preconditioner: LinearOperator | None = None,
    progress: Progress | None = None,
) -> NaturalGradient:
    """(F + δI)⁻¹∇L of an objective, its penalty included in ∇L.

    ``fisher`` is ``Fisher(objective)`` by default, for which conjugate gradients are run, to a residual of ``rtol``;
    a ``KFAC``, ``EKFAC`` or ``Diagonal`` is inverted in closed form. Without damping a singular F has the solution of
    least norm, where ∇L lies in its range, as the gradient of the data term does. ``preconditioner``, such as
    ``KFAC(objective).inverse(δ)``, saves products. Cost: one gradient, and a product for each step.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1, bias=False).double()
    >>> x = torch.tensor([[1.0], [2.0]]).double()
    >>> found = natural_gradient(Objective(line, torch.nn.functional.mse_loss, (x, 3 * x)))
    >>> round(line.weight.item() - found.direction.item(), 6)
    3.0
    """
    began = time.perf_counter()
    damping = real("damping", damping, 0)
    operator = Fisher(objective) if fisher is None else fisher
    if operator.size != objective.size:
        raise BadUsage(
            "the Fisher matrix is not over the objective's parameters",
            seen=f"size {operator.size} for {objective.size}",
        )
    gradient = objective.gradient().double()
    size = float(gradient.norm())
    damped = operator.shifted(damping)
    if isinstance(operator, BlockDiagonal):
        inverse = operator.inverse(damping)
        direction = (inverse @ gradient).double()
        direction += inverse @ (gradient - damped @ direction)  # a step of refinement, for single precision
        rest = float((gradient - damped @ direction).norm())
        residual, used = rest / size if size else 0.0, 4
    else:
        found = solve(
            damped, gradient, rtol=rtol, seconds=seconds, products=products,
            preconditioner=preconditioner, progress=progress,
        )  # fmt: skip
        direction, residual, used = found.x, found.residuals[0], found.products
    elapsed = time.perf_counter() - began
    bound = residual * size * float(direction.norm())
    decrement = Estimate(float(gradient @ direction), bound, used, elapsed)
    return NaturalGradient(direction, decrement, residual, used, elapsed, residual <= rtol)
