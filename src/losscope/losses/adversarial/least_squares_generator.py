"""LSGAN's generator: ½(s_fake - 1)², the distance of the discriminator's score from "real".

**⅛** at the equilibrium, where the discriminator scores ½. It is the discriminator's opinion, so it is not progress:
the generator's value rises when the discriminator improves.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "LeastSquaresGeneratorLoss", "least_squares_generator_loss"]


def least_squares_generator_loss(input: Tensor, *, reduction: str = "mean") -> Tensor:
    """½(s - 1)² of the discriminator's scores of generated samples. Mao et al., arXiv:1611.04076, eq. 9 (c = 1).

    >>> import torch
    >>> float(least_squares_generator_loss(torch.tensor([0.5])))
    0.125
    """
    (input,) = full_precision(input)
    return reduce(0.5 * (input - 1).square(), reduction)


LeastSquaresGeneratorLoss = as_module(least_squares_generator_loss, "LeastSquaresGeneratorLoss")

SPEC = LossSpec(
    name="least_squares_generator",
    title="LSGAN generator's loss",
    family="adversarial",
    task="game",
    formula=r"\tfrac12(s_\text{fake}-1)^2",
    input_space="scores",
    function=least_squares_generator_loss,
    module=LeastSquaresGeneratorLoss,
    arguments=(Argument("input", "scores"),),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where the discriminator takes every generated sample for real",
    value_is_progress=False,
    floor=zero_floor,
    claims=(Claim("convex"), Claim("smooth", 1.0), Claim("permutation-equivariant")),
    denominator="number of samples",
    references=("https://arxiv.org/abs/1611.04076",),
)
