"""Bradley-Terry loss of a reward model: -ln σ(r_c - r_r - m), and a small pull of the rewards towards 0.

The likelihood that the chosen answer wins in the Bradley-Terry model. It knows rewards only up to a constant for each
prompt, so that they drift; ``centre``·(r_c + r_r)² holds their mean at 0. **ln 2 = 0.693** with equal rewards of 0, as
a new head gives: below that it has learnt something, and human labels, which disagree in a quarter or a third of the
pairs, let an honest validation loss fall to 0.5 or 0.6 only. Without ``centre`` and margin it is
``pairwise_logistic``.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "RewardModelLoss", "reward_model_loss"]


def reward_model_loss(
    chosen: Tensor, rejected: Tensor, *, margin: float = 0.0, centre: float = 0.01, reduction: str = "mean"
) -> Tensor:
    """softplus(m - (chosen - rejected)) + centre·(chosen + rejected)² for rewards [N] of both answers.

    Christiano et al., arXiv:1706.03741; ``margin`` as in Llama 2, arXiv:2307.09288, eq. 2; ``centre`` as in
    Eisenstein et al., arXiv:2312.09244, section 4.

    >>> import torch
    >>> round(float(reward_model_loss(torch.zeros(2), torch.zeros(2)).exp()), 5)
    2.0
    """
    same_shape(chosen, rejected, ("chosen", "rejected"))
    chosen, rejected = full_precision(chosen, rejected)
    losses = F.softplus(margin - (chosen - rejected)) + centre * (chosen + rejected).square()
    return reduce(losses, reduction)


RewardModelLoss = as_module(reward_model_loss, "RewardModelLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate:
    """The reward 0 for everything."""
    del stats
    return Estimate(math.log1p(math.exp(float(options.get("margin", 0.0)))))


SPEC = LossSpec(
    name="reward_model",
    title="Bradley-Terry loss of a reward model",
    also=("Bradley-Terry",),
    family="preference",
    task="preference",
    formula=r"-\ln\sigma(r_c-r_r-m)+\lambda(r_c+r_r)^2",
    input_space="scores",
    function=reward_model_loss,
    module=RewardModelLoss,
    arguments=(Argument("chosen", "scores"), Argument("rejected", "scores")),
    variants=({"margin": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin of rewards that are opposite",
    chance=_chance,
    floor=zero_floor,
    unit="nats",
    claims=(
        Claim("convex"),
        Claim("smooth", 0.5, why="½ of the margin; 4λ of the sum"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of pairs",
    references=("https://arxiv.org/abs/1706.03741", "https://arxiv.org/abs/2312.09244"),
)
