"""Relativistic GAN: how much more real the real samples look than the generated ones.

Average form (RaGAN): ``softplus(-(s_real - mean s_fake)) + softplus(s_fake - mean s_real)``, **ln 4** where the
scores of both halves agree, as at the equilibrium. Paired form (``average=False``): softplus(-(s_real - s_fake)),
**ln 2** there. The generator's loss is the same with the arguments exchanged. Neither value is progress.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.adversarial.halves import add_halves
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "RelativisticGANLoss", "relativistic_gan_loss"]


def relativistic_gan_loss(
    real: Tensor, fake: Tensor, *, average: bool = True, reduction: str = "mean"
) -> Tensor:
    """The discriminator's loss for scores [N] of real and generated samples; exchange them for the generator's.

    Jolicoeur-Martineau, arXiv:1807.00734, eq. 13 and algorithm 2. ``average=False`` compares pair by pair.

    >>> import torch
    >>> round(float(relativistic_gan_loss(torch.full((4,), 5.0), torch.full((4,), 5.0)).exp()), 5)  # ln 4
    4.0
    """
    real, fake = full_precision(real, fake)
    if not average:
        same_shape(real, fake, ("real", "fake"))
        return reduce(F.softplus(fake - real), reduction)
    lead = real - reduce(fake)
    lag = fake - reduce(real)
    return add_halves(F.softplus(-lead), F.softplus(lag), reduction)


RelativisticGANLoss = as_module(relativistic_gan_loss, "RelativisticGANLoss")

SPEC = LossSpec(
    name="relativistic_gan",
    title="relativistic average GAN loss",
    also=("RaGAN", "RSGAN"),
    family="adversarial",
    task="game",
    formula=r"\ln(1+e^{-(s_\text{real}-\overline{s}_\text{fake})})+\ln(1+e^{s_\text{fake}-\overline{s}_\text{real}})",
    input_space="scores",
    function=relativistic_gan_loss,
    module=RelativisticGANLoss,
    arguments=(Argument("real", "scores"), Argument("fake", "scores")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of real scores far above generated ones",
    value_is_progress=False,
    chance=lambda stats, options: Estimate(math.log(4 if options.get("average", True) else 2)),
    floor=zero_floor,
    unit="nats",
    claims=(Claim("shift-invariant"), Claim("permutation-equivariant")),
    batch_coupled=True,
    denominator="number of samples, in each half",
    references=("https://arxiv.org/abs/1807.00734",),
)
