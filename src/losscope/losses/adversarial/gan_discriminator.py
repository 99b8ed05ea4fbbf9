"""A GAN's discriminator: cross-entropy of "real" for data and of "fake" for generated samples, both halves added.

``softplus(-s_real) + softplus(s_fake)``, the same for the minimax and the non-saturating game. For the best
discriminator it is ln 4 - 2·JSD(data, generator): at the **equilibrium** of the game, and for a discriminator that
knows nothing, it is **ln 4 = 2 ln 2 = 1.386** (each half ln 2 = 0.693, which is what code shows that halves the
sum). Near 0 the discriminator has won and the generator learns little. The value is **not progress**: it falls when
the generator gets worse. The generator's loss is ``logistic_score``, or its ``saturating`` form.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.adversarial.halves import add_halves
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_share
from losscope.losses.reduction import full_precision
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "GANDiscriminatorLoss", "gan_discriminator_loss"]


def gan_discriminator_loss(
    real: Tensor, fake: Tensor, *, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """softplus(-real) + softplus(fake) of the discriminator's scores (logits) of both halves.

    ``label_smoothing`` ε is one-sided: the real half's target is 1 - ε, whose floor is the entropy of ε. "mean" and
    "sum" reduce each half by itself and add, "none" adds pair by pair. Goodfellow et al., arXiv:1406.2661, eq. 1.

    >>> import torch
    >>> round(float(gan_discriminator_loss(torch.zeros(4), torch.zeros(4)).exp()), 5)  # ln 4
    4.0
    """
    require_share(label_smoothing=label_smoothing)
    real, fake = full_precision(real, fake)
    return add_halves(F.softplus(-real) + label_smoothing * real, F.softplus(fake), reduction)


GANDiscriminatorLoss = as_module(gan_discriminator_loss, "GANDiscriminatorLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate:
    """One score for all, real and generated: at s = 0 ln 4, with smoothing a little less."""
    del stats
    p = (1 - float(options.get("label_smoothing", 0.0))) / 2
    return Estimate(2 * _entropy(p))


def _floor(options: Options, stats: TargetStats | None) -> float:
    del stats
    return _entropy(float(options.get("label_smoothing", 0.0)))


def _entropy(p: float) -> float:
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


SPEC = LossSpec(
    name="gan_discriminator",
    title="GAN discriminator's loss",
    also=("GAN", "minimax"),
    family="adversarial",
    task="game",
    formula=r"\ln(1+e^{-s_\text{real}})+\ln(1+e^{s_\text{fake}})",
    input_space="scores",
    function=gan_discriminator_loss,
    module=GANDiscriminatorLoss,
    arguments=(Argument("real", "scores"), Argument("fake", "scores")),
    variants=({"label_smoothing": 0.1}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of certain and right scores; that is the end of the game, not its goal",
    value_is_progress=False,
    chance=_chance,
    floor=_floor,
    unit="nats",
    elicits="probability",
    claims=(
        Claim("convex"),
        Claim("lipschitz", math.sqrt(2), why="each score's derivative lies in (-1, 1)"),
        Claim("smooth", 0.25),
        Claim("permutation-equivariant"),
    ),
    denominator="number of samples, in each half",
    references=("https://arxiv.org/abs/1406.2661", "https://arxiv.org/abs/1606.03498"),
)
