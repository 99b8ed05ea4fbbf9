"""The hinge GAN's discriminator: max(0, 1 - s_real) + max(0, 1 + s_fake).

**2** for a discriminator that knows nothing (any score for all, between -1 and 1), and at the equilibrium; 0 where
it has won by the margin, where its gradient vanishes. The value is not progress. The generator minimises -s_fake
(``mean_score``).
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

__all__ = ["SPEC", "HingeDiscriminatorLoss", "hinge_discriminator_loss"]


def hinge_discriminator_loss(real: Tensor, fake: Tensor, *, reduction: str = "mean") -> Tensor:
    """max(0, 1 - real) + max(0, 1 + fake); "mean" and "sum" reduce each half by itself and add.

    Lim and Ye, arXiv:1705.02894; Miyato et al., arXiv:1802.05957, eq. 17.

    >>> import torch
    >>> float(hinge_discriminator_loss(torch.tensor([0.5]), torch.tensor([0.5])))
    2.0
    """
    real, fake = full_precision(real, fake)
    return add_halves((1 - real).relu(), (1 + fake).relu(), reduction)


HingeDiscriminatorLoss = as_module(hinge_discriminator_loss, "HingeDiscriminatorLoss")

SPEC = LossSpec(
    name="hinge_discriminator",
    title="hinge GAN discriminator's loss",
    also=("hinge GAN",),
    family="adversarial",
    task="game",
    formula=r"\max(0,1-s_\text{real})+\max(0,1+s_\text{fake})",
    input_space="scores",
    function=hinge_discriminator_loss,
    module=HingeDiscriminatorLoss,
    arguments=(Argument("real", "scores"), Argument("fake", "scores")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where real scores are above 1 and generated ones below -1",
    value_is_progress=False,
    chance=lambda stats, options: Estimate(2.0),
    floor=zero_floor,
    claims=(Claim("convex"), Claim("lipschitz", math.sqrt(2)), Claim("permutation-equivariant")),
    denominator="number of samples, in each half",
    references=("https://arxiv.org/abs/1705.02894", "https://arxiv.org/abs/1802.05957"),
)
