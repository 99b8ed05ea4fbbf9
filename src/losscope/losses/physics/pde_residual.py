"""Physics-informed loss: mean square of a differential equation's residual, plus λ times that of the boundary residual.

The residuals come from the user, by automatic differentiation of the network at collocation points (r = u_t + u u_x
…) and as u - g on the boundary or at the initial time. 0 means that the equation holds at these points, not that the
solution is right: without boundary terms the trivial solution u = 0 often has residual 0. The two terms have
different units, so λ decides; where one gradient is much larger than the other, the smaller term is not learnt
(compare the gradients, not the values). Chance level and scale depend on the equation: scale it to numbers near 1.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "PDEResidualLoss", "pde_residual_loss"]


def pde_residual_loss(residual: Tensor, boundary: Tensor, *, boundary_weight: float = 1.0) -> Tensor:
    """mean r² + λ mean b² for ``residual`` r and ``boundary`` b of any shapes; one number.

    ``boundary_weight`` is λ. Means run over all elements; an empty tensor counts 0. Raissi et al. 2019,
    doi:10.1016/j.jcp.2018.10.045, eq. 4.

    >>> import torch
    >>> pde_residual_loss(torch.tensor([1.0, 3.0]), torch.tensor([2.0]), boundary_weight=10.0).item()
    45.0
    """
    r, b = full_precision(residual, boundary)
    return reduce(r.square()) + boundary_weight * reduce(b.square())


PDEResidualLoss = as_module(pde_residual_loss, "PDEResidualLoss")

SPEC = LossSpec(
    name="pde_residual",
    title="residual of a differential equation",
    also=("PINN", "physics-informed"),
    family="physics",
    task="physics",
    formula=r"\tfrac1N\sum_i r_i^2+\lambda\,\tfrac1M\sum_j b_j^2",
    input_space="values",
    function=pde_residual_loss,
    module=PDEResidualLoss,
    arguments=(Argument("residual", "values", "N"), Argument("boundary", "values", "M")),
    variants=({"boundary_weight": 100.0},),
    range=(0.0, math.inf),
    attained="where equation and boundary conditions hold at all points given",
    elicits="mean",
    claims=(Claim("convex", why="in the residuals"), Claim("permutation-equivariant")),
    denominator="numbers of points, inside and on the boundary",
    floor=zero_floor,
    references=("https://doi.org/10.1016/j.jcp.2018.10.045", "https://arxiv.org/abs/2001.04536"),
)
