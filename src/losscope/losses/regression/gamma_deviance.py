"""Gamma deviance 2 [ln(μ/y) + y/μ - 1] of positive targets, with z = ln μ as prediction.

It judges relative errors: it depends on y/μ alone, so targets of every magnitude count alike (the Itakura-Saito
divergence). Up to a factor and terms without μ it is the gamma negative log-likelihood, whose shape k it leaves out:
-ln p is k/2 times it plus terms of y and k. Predicting too little by a factor costs more than predicting too much by
it.
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

__all__ = ["SPEC", "GammaDevianceLoss", "gamma_deviance_loss"]


def gamma_deviance_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """2 [z - ln y + y e^-z - 1] per element, for ``input`` z = ln of the mean and ``target`` y > 0 of one shape.

    A target 0 gives ∞, a negative one NaN. McCullagh and Nelder 1989, table 2.1.

    >>> round(float(gamma_deviance_loss(torch.zeros(1), torch.tensor([2.0]))), 4)  # 2 (1 - ln 2)
    0.6137
    """
    return reduce(deviance(input, target, 2.0), reduction)


GammaDevianceLoss = as_module(gamma_deviance_loss, "GammaDevianceLoss")

SPEC = LossSpec(
    name="gamma_deviance",
    title="gamma deviance",
    family="regression",
    task="regression",
    formula=r"2\left[\ln\tfrac{\mu}{y}+\tfrac{y}{\mu}-1\right],\quad\mu=e^{z}",
    input_space="values",
    function=gamma_deviance_loss,
    module=GammaDevianceLoss,
    arguments=(Argument("input", "values"), Argument("target", "positive")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where the predicted mean is the target",
    elicits="logarithm of the mean",
    claims=(Claim("convex"), Claim("permutation-equivariant")),
    gradient=lambda input, target, options: 2 * (1 - target * (-input).exp()),
    logit_hessian=lambda input, target, options: torch.diag_embed(2 * target * (-input).exp()),
    chance=deviance_chance(lambda options: 2.0),
    floor=zero_floor,
    references=("https://doi.org/10.1007/978-1-4899-3242-6",),
)
