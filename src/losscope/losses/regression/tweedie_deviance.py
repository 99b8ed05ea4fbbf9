"""Tweedie deviance with variance μ^p, with z = ln μ as prediction: for amounts that are often exactly 0.

2 [y^(2-p)/((1-p)(2-p)) - y μ^(1-p)/(1-p) + μ^(2-p)/(2-p)]. For 1 < p < 2 the target is a sum of a Poisson number of
gamma amounts (insurance claims, rain). p = 0 is the squared error of μ, p → 1 the Poisson and p → 2 the gamma
deviance; the usual formula is 0/0 there, this one is exact. The mean is elicited for every p; p only says which
errors weigh.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.deviance import deviance, deviance_chance
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "TweedieDevianceLoss", "tweedie_deviance_loss"]


def tweedie_deviance_loss(
    input: Tensor, target: Tensor, *, power: float = 1.5, reduction: str = "mean"
) -> Tensor:
    """Tweedie deviance per element, for ``input`` z = ln of the mean and ``target`` y ≥ 0 of one shape.

    ``power`` is 0 or lies in [1, 2]; with 2 a target 0 gives ∞. Jørgensen 1987, doi:10.1111/j.2517-6161.1987.tb01685.x.

    >>> import torch
    >>> round(float(tweedie_deviance_loss(torch.zeros(1), torch.tensor([4.0]))), 4)  # 2 (-8 + 8 + 2) = 4 (2 - 1)²
    4.0
    """
    if not (power == 0 or 1 <= power <= 2):
        raise BadUsage(
            "the power of a Tweedie deviance is 0 or lies in [1, 2]", seen=str(power), remedy="power=1.5"
        )
    return reduce(deviance(input, target, float(power)), reduction)


TweedieDevianceLoss = as_module(tweedie_deviance_loss, "TweedieDevianceLoss")

SPEC = LossSpec(
    name="tweedie_deviance",
    title="Tweedie deviance",
    family="regression",
    task="regression",
    formula=r"2\left[\tfrac{y^{2-p}}{(1-p)(2-p)}-\tfrac{y\,\mu^{1-p}}{1-p}+\tfrac{\mu^{2-p}}{2-p}\right],\quad\mu=e^{z}",
    input_space="values",
    function=tweedie_deviance_loss,
    module=TweedieDevianceLoss,
    arguments=(Argument("input", "values"), Argument("target", "counts")),
    variants=({"power": 1.0}, {"power": 1.2}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where the predicted mean is the target (in the limit for 0)",
    elicits="logarithm of the mean",
    claims=(Claim("convex"), Claim("permutation-equivariant")),
    gradient=lambda input, target, options: (
        2 * ((2 - options.get("power", 1.5)) * input).exp() * (1 - target * (-input).exp())
    ),
    chance=deviance_chance(lambda options: float(options.get("power", 1.5))),
    floor=zero_floor,
    references=("https://doi.org/10.1111/j.2517-6161.1987.tb01685.x",),
)
