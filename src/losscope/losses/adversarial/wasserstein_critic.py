"""A Wasserstein critic: mean score of generated samples minus mean score of real ones.

Its negative estimates the Wasserstein distance, up to the critic's Lipschitz constant, but only where that constant is
held (gradient penalty, spectral norm, clipping): without it the value falls without end. **0** for a critic that knows
nothing and at the equilibrium. So a critic's loss of a healthy run first falls below 0 and then *rises* to 0:
smaller is not better. The generator minimises -s_fake (``mean_score``).
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.adversarial.halves import add_halves
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "WassersteinCriticLoss", "wasserstein_critic_loss"]


def wasserstein_critic_loss(real: Tensor, fake: Tensor, *, reduction: str = "mean") -> Tensor:
    """fake - real; "mean" and "sum" reduce each half by itself and subtract. Arjovsky et al., arXiv:1701.07875.

    >>> import torch
    >>> float(wasserstein_critic_loss(torch.tensor([3.0, 1.0]), torch.tensor([0.5])))
    -1.5
    """
    real, fake = full_precision(real, fake)
    return add_halves(-real, fake, reduction)


WassersteinCriticLoss = as_module(wasserstein_critic_loss, "WassersteinCriticLoss")

SPEC = LossSpec(
    name="wasserstein_critic",
    title="Wasserstein critic's loss",
    also=("WGAN", "EMD critic"),
    family="adversarial",
    task="game",
    formula=r"s_\text{fake}-s_\text{real}",
    input_space="scores",
    function=wasserstein_critic_loss,
    module=WassersteinCriticLoss,
    arguments=(Argument("real", "scores"), Argument("fake", "scores")),
    variants=({"reduction": "sum"},),
    range=(-math.inf, math.inf),
    attained="nowhere: unbounded unless the critic's slope is held",
    value_is_progress=False,
    chance=lambda stats, options: Estimate(0.0),
    claims=(
        Claim("convex"),
        Claim("smooth", 0.0, why="linear"),
        Claim("lipschitz", math.sqrt(2)),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of samples, in each half",
    references=("https://arxiv.org/abs/1701.07875",),
)
