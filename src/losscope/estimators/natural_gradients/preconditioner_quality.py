"""How closely a preconditioner approximates the natural gradient: angle, and condition number before and after.

A perfect preconditioner M of the Fisher matrix F has M∇L along F⁻¹∇L, and the condition number 1 of M^½ F M^½. Adam's
is the root of a mean of squared mini-batch gradients: of something like the diagonal of an empirical Fisher matrix
(Kunstner, Balles and Hennig, 2019, arXiv:1905.12558, section 3.4).
"""

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.estimators.arguments import real
from losscope.estimators.extremes.condition_number import condition_number
from losscope.estimators.natural_gradients.natural_gradient import NaturalGradient, natural_gradient
from losscope.objective.objective import Objective
from losscope.objective.precision import without_autocast
from losscope.operators.congruence import Congruence
from losscope.operators.diagonal import Diagonal
from losscope.operators.fisher import Fisher
from losscope.operators.operator import LinearOperator
from losscope.operators.preconditioner import Preconditioner
from losscope.operators.structured.block_diagonal import BlockDiagonal

__all__ = ["PreconditionerQuality", "preconditioner_quality"]

_RELATIVE = 1e-3


@dataclass(frozen=True, slots=True)
class PreconditionerQuality:
    """``cosine`` of the angle between M∇L and (F + δI)⁻¹∇L, ``cosine_before`` that of ∇L itself.

    ``condition_before`` is κ(F + δI) and ``condition_after`` κ(M^½ (F + δI) M^½). Errors are bounds: of the cosines
    from the residual of the linear system, at most ‖r‖ / (δ ‖direction‖), of the condition numbers from those of their
    eigenvalues (infinite: the value is a lower bound). ``damping`` is δ.
    """

    cosine: Estimate
    cosine_before: Estimate
    condition_before: Estimate
    condition_after: Estimate
    damping: float


@without_autocast()
def preconditioner_quality(
    objective: Objective,
    preconditioner: Any,
    fisher: LinearOperator | None = None,
    damping: float | None = None,
    *,
    rtol: float = 1e-6,
    seconds: float = 60.0,
    products: int = 2000,
    seed: int = 0,
) -> PreconditionerQuality:
    """The quality of a live ``torch.optim`` optimiser's preconditioner, or a structured one, ``KFAC(…).inverse(δ)``.

    ``fisher`` is ``Fisher(objective)`` by default. The damping is by default a thousandth of the mean eigenvalue of F,
    so that a rank-deficient F has a condition number at all. Cost: up to ``products`` products, or ``seconds``, for the
    linear system and for each of the condition numbers. Raises ``BadUsage`` where an optimiser is unknown or stateless.

    >>> import torch
    >>> line = torch.nn.Linear(2, 1, bias=False).double()
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 3.0]]).double()
    >>> objective = Objective(line, torch.nn.functional.mse_loss, (x, x[:, :1]))
    >>> perfect = Diagonal(objective).inverse()
    >>> found = preconditioner_quality(objective, perfect, damping=1e-9)
    >>> [round(e.value, 3) for e in (found.cosine, found.condition_before, found.condition_after)]
    [1.0, 9.0, 1.0]
    """
    matrix = (
        preconditioner
        if isinstance(preconditioner, BlockDiagonal)
        else Preconditioner(objective, preconditioner)
    )
    if matrix.size != objective.size:
        raise BadUsage("the preconditioner is not over the objective's parameters", seen=repr(matrix))
    operator = Fisher(objective) if fisher is None else fisher
    if damping is None:
        damping = _RELATIVE * Diagonal(objective).trace().value / objective.size
    damping = real("damping", damping, 0, above=True)
    began = time.perf_counter()
    gradient = objective.gradient().double()
    if not float(gradient.norm()) > 0:
        raise BadUsage("at a gradient of 0 there is no direction to compare", seen="‖∇L‖ = 0")
    natural = natural_gradient(objective, operator, damping, rtol=rtol, seconds=seconds, products=products)
    error = _relative_error(natural, gradient, damping)
    seconds_used = time.perf_counter() - began
    scaled = (matrix @ gradient).double()
    cosines = [
        Estimate(_cosine(v, natural.direction), error, natural.products, seconds_used)
        for v in (scaled, gradient)
    ]
    root = matrix.function(torch.sqrt)
    conditions = [
        condition_number(one, seconds=seconds, products=products, seed=seed)
        for one in (operator.shifted(damping), Congruence(operator.shifted(damping), root))
    ]
    return PreconditionerQuality(cosines[0], cosines[1], conditions[0], conditions[1], damping)


def _relative_error(natural: NaturalGradient, gradient: Tensor, damping: float) -> float:
    """Of the direction x in ‖·‖: ‖x - A⁻¹g‖ ≤ ‖g - Ax‖ / δ; a cosine is off by no more."""
    rest = natural.residual * float(gradient.norm())
    return min(2.0, rest / (damping * float(natural.direction.norm())))


def _cosine(one: Tensor, other: Tensor) -> float:
    return float(one @ other) / (float(one.norm()) * float(other.norm()))
