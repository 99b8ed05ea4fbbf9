"""Poisson deviance 2 [y ln(y/μ) - y + μ] of counts, with z = ln μ as prediction.

Twice the Poisson negative log-likelihood less its smallest possible value for the targets, so unlike ``poisson_nll``
it is 0 for a perfect prediction and comparable between data sets. For overdispersion 1 its mean is near 1 when the
model is right and counts are not small. It elicits the mean of any non-negative target, not only of counts.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.deviance import deviance, deviance_chance
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "PoissonDevianceLoss", "poisson_deviance_loss"]


def poisson_deviance_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """2 [y (ln y - z) - y + e^z] per element, for ``input`` z = ln of the mean and ``target`` y ≥ 0 of one shape.

    Negative targets give NaN. McCullagh and Nelder 1989, table 2.1.

    >>> poisson_deviance_loss(torch.zeros(2), torch.tensor([1.0, 0.0]), reduction="none").tolist()
    [0.0, 2.0]
    """
    return reduce(deviance(input, target, 1.0), reduction)


PoissonDevianceLoss = as_module(poisson_deviance_loss, "PoissonDevianceLoss")

SPEC = LossSpec(
    name="poisson_deviance",
    title="Poisson deviance",
    family="regression",
    task="counts",
    formula=r"2\left[y\ln\tfrac{y}{\mu}-y+\mu\right],\quad\mu=e^{z}",
    input_space="values",
    function=poisson_deviance_loss,
    module=PoissonDevianceLoss,
    arguments=(Argument("input", "values"), Argument("target", "counts")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where the predicted mean is the target (in the limit for 0)",
    elicits="logarithm of the mean",
    claims=(Claim("convex"), Claim("permutation-equivariant")),
    gradient=lambda input, target, options: 2 * (input.exp() - target),
    logit_hessian=lambda input, target, options: torch.diag_embed(2 * input.exp()),
    chance=deviance_chance(lambda options: 1.0),
    floor=zero_floor,
    references=("https://doi.org/10.1007/978-1-4899-3242-6",),
)
