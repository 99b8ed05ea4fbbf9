"""LSGAN's discriminator: ½(s_real - 1)² + ½ s_fake², squared errors instead of cross-entropies.

A discriminator that knows nothing scores ½ for all: **¼**, which is also the value at the equilibrium. The best one
scores p_data/(p_data + p_generated). The value is not progress. The generator's loss is ``least_squares_generator``.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.adversarial.halves import add_halves
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "LeastSquaresDiscriminatorLoss", "least_squares_discriminator_loss"]


def least_squares_discriminator_loss(real: Tensor, fake: Tensor, *, reduction: str = "mean") -> Tensor:
    """½(real - 1)² + ½ fake²; "mean" and "sum" reduce each half by itself and add.

    Mao et al., arXiv:1611.04076, eq. 9 (a = 0, b = 1).

    >>> import torch
    >>> float(least_squares_discriminator_loss(torch.tensor([0.5]), torch.tensor([0.5])))
    0.25
    """
    real, fake = full_precision(real, fake)
    return add_halves(0.5 * (real - 1).square(), 0.5 * fake.square(), reduction)


LeastSquaresDiscriminatorLoss = as_module(least_squares_discriminator_loss, "LeastSquaresDiscriminatorLoss")

SPEC = LossSpec(
    name="least_squares_discriminator",
    title="LSGAN discriminator's loss",
    also=("LSGAN",),
    family="adversarial",
    task="game",
    formula=r"\tfrac12(s_\text{real}-1)^2+\tfrac12 s_\text{fake}^2",
    input_space="scores",
    function=least_squares_discriminator_loss,
    module=LeastSquaresDiscriminatorLoss,
    arguments=(Argument("real", "scores"), Argument("fake", "scores")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where real scores are 1 and generated ones 0",
    value_is_progress=False,
    chance=lambda stats, options: Estimate(0.25),
    floor=zero_floor,
    elicits="probability",
    claims=(Claim("convex"), Claim("smooth", 1.0), Claim("permutation-equivariant")),
    denominator="number of samples, in each half",
    references=("https://arxiv.org/abs/1611.04076",),
)
