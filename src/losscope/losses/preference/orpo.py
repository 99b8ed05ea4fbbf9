"""ORPO: cross-entropy of the chosen answer plus a logistic loss of the odds ratio of both answers.

``-l_c + λ softplus(-(ln odds(l_c) - ln odds(l_r)))``, ln odds(l) = l - ln(1 - e^l), with l the log-likelihood per
token, which the caller averages. Equal answers give -l + **λ ln 2**: most of the value is the ordinary
cross-entropy, and a fall of it shows little about preferences. The odds are computed without cancellation; a
likelihood of 1, whose odds are infinite, counts as the largest number below 1.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.preference.log_ratios import agreeing, log1mexp
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "ORPOLoss", "orpo_loss"]


def orpo_loss(chosen: Tensor, rejected: Tensor, *, beta: float = 0.1, reduction: str = "mean") -> Tensor:
    """-chosen + λ softplus(-ln(odds(chosen)/odds(rejected))) for log-likelihoods per token, [N]; ``beta`` is λ.

    Hong et al., arXiv:2403.07691, eq. 6 and 7.

    >>> import torch
    >>> l = torch.tensor([-1.0])
    >>> round(float(orpo_loss(l, l, beta=1.0)) - 1.0, 4)
    0.6931
    """
    require_not_negative(beta=beta)
    chosen, rejected = agreeing(chosen, rejected)
    log_odds_ratio = (chosen - rejected) - (log1mexp(chosen) - log1mexp(rejected))
    return reduce(-chosen + beta * F.softplus(-log_odds_ratio), reduction)


ORPOLoss = as_module(orpo_loss, "ORPOLoss")

SPEC = LossSpec(
    name="orpo",
    title="odds-ratio preference optimisation",
    family="preference",
    task="preference",
    formula=r"-l_c-\lambda\ln\sigma\Bigl(\ln\frac{e^{l_c}}{1-e^{l_c}}-\ln\frac{e^{l_r}}{1-e^{l_r}}\Bigr)",
    input_space="log-likelihoods",
    function=orpo_loss,
    module=ORPOLoss,
    arguments=(Argument("chosen", "log-likelihoods"), Argument("rejected", "log-likelihoods")),
    variants=({"beta": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of a chosen answer that is certain",
    floor=zero_floor,
    unit="nats",
    claims=(Claim("permutation-equivariant"),),
    denominator="number of pairs",
    references=("https://arxiv.org/abs/2403.07691",),
)
