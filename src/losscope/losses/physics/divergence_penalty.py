"""Conservation penalty: mean square of the divergence Σ_i ∂F_i/∂x_i of a predicted field.

A field whose divergence is 0 everywhere is conserved: incompressible flow (∇·u = 0), magnetic fields (∇·B = 0), or,
with time as a coordinate and F = (density, flux), any continuity equation. The Jacobian comes from the user, by
automatic differentiation (``torch.func.jacrev`` under ``vmap``). It is a soft constraint: a small mean still leaks in
total over a volume; a field written as a curl fulfils it exactly instead.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "DivergencePenaltyLoss", "divergence_penalty_loss"]


def divergence_penalty_loss(jacobian: Tensor, *, reduction: str = "mean") -> Tensor:
    """(Σ_i J_ii)² per point, for ``jacobian`` J_ij = ∂F_i/∂x_j of shape [N, D, D].

    Richter-Powell et al. 2022, arXiv:2210.01741, on conserved fields.

    >>> divergence_penalty_loss(torch.tensor([[[1.0, 9.0], [9.0, 2.0]]])).item()
    9.0
    """
    if jacobian.dim() < 2 or jacobian.shape[-1] != jacobian.shape[-2]:
        raise BadUsage("a divergence needs square Jacobians [N, D, D]", seen=str(tuple(jacobian.shape)))
    (j,) = full_precision(jacobian)
    return reduce(torch.diagonal(j, dim1=-2, dim2=-1).sum(-1).square(), reduction)


DivergencePenaltyLoss = as_module(divergence_penalty_loss, "DivergencePenaltyLoss")

SPEC = LossSpec(
    name="divergence_penalty",
    title="divergence of a conserved field",
    family="physics",
    task="physics",
    formula=r"\left(\sum_i\partial F_i/\partial x_i\right)^2",
    input_space="values",
    function=divergence_penalty_loss,
    module=DivergencePenaltyLoss,
    arguments=(Argument("jacobian", "values", "N D D"),),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where the field has no divergence",
    claims=(
        Claim("convex", why="in the derivatives"),
        Claim("smooth", 6.0, why="2D, for D = 3"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of points",
    floor=zero_floor,
    references=("https://arxiv.org/abs/2210.01741", "https://doi.org/10.1016/j.jcp.2018.10.045"),
)
