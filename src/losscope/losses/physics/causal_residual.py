"""Causal residual of a time-dependent equation: a time slice counts only once the earlier ones are solved.

The mean over times of w_t L_t, where L_t is the mean square of the residual in slice t and w_t = exp(-ε Σ_{k<t} L_k)
is held constant in the gradient. A plain mean may minimise the residual at late times from a wrong start; here the
weights let the solution grow forward from the initial condition. The value is no measure of progress: it rises when
early times improve and later ones come in. Training is done when all weights are near 1; watch the smallest. ε too
large: late times never count; too small: the plain mean.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "CausalResidualLoss", "causal_residual_loss"]


def causal_residual_loss(residual: Tensor, *, tolerance: float = 1.0) -> Tensor:
    """mean_t w_t L_t of ``residual`` [T, …], whose first axis runs forward in time; one number.

    ``tolerance`` is ε. An empty residual costs 0. Wang et al. 2022, arXiv:2203.07404, eq. 2.13 and 2.14.

    >>> r = torch.tensor([[1.0], [2.0]])  # L = 1, 4; w = 1, e^-1
    >>> round(float(causal_residual_loss(r)), 4) == round((1 + 4 * math.exp(-1)) / 2, 4)
    True
    """
    (r,) = full_precision(residual)
    if r.numel() == 0:
        return r.sum()
    slices = r.square().flatten(1).mean(1) if r.dim() > 1 else r.square()
    fixed = slices.detach()
    before = torch.cat([fixed.new_zeros(1), fixed[:-1].cumsum(0)])
    return ((-tolerance * before).exp() * slices).mean()


CausalResidualLoss = as_module(causal_residual_loss, "CausalResidualLoss")

SPEC = LossSpec(
    name="causal_residual",
    title="causally weighted residual of a differential equation",
    family="physics",
    task="physics",
    formula=r"\tfrac1T\sum_t\left\lfloor e^{-\varepsilon\sum_{k<t}L_k}\right\rfloor L_t,"
    r"\quad L_t=\tfrac1N\sum_i r_{ti}^2",
    input_space="values",
    function=causal_residual_loss,
    module=CausalResidualLoss,
    arguments=(Argument("residual", "values", "T N"),),
    variants=({"tolerance": 0.1},),
    range=(0.0, math.inf),
    attained="where the equation holds at all points given",
    value_is_progress=False,
    elicits="mean",
    claims=(Claim("permutation-equivariant", why="of the points of a slice, not of the slices"),),
    gradient_kind="detached",
    batch_coupled=True,
    denominator="number of points",
    floor=zero_floor,
    references=("https://arxiv.org/abs/2203.07404",),
)
