"""SimPO: logistic loss of the margin of length-averaged log-likelihoods, without a reference model.

``-ln σ(β(l_c - l_r) - γ)`` with l = (ln π(y))/|y|, which the caller averages. Where both answers are equally likely
per token, as for a policy that knows no preference, it is **ln(1 + e^γ)**, 1.31 for γ = 1, and not ln 2. Nothing
ties the policy to where it began: low values may come with broken text.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.preference.log_ratios import agreeing
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "SimPOLoss", "simpo_loss"]


def simpo_loss(
    chosen: Tensor, rejected: Tensor, *, beta: float = 2.0, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """softplus(γ - β(chosen - rejected)) for log-likelihoods per token, [N]; ``margin`` is γ.

    Meng et al., arXiv:2405.14734, eq. 6.

    >>> import torch
    >>> round(float(simpo_loss(torch.tensor([-1.0]), torch.tensor([-1.0]))), 4)  # ln(1 + e)
    1.3133
    """
    require_positive(beta=beta)
    chosen, rejected = agreeing(chosen, rejected)
    return reduce(F.softplus(margin - beta * (chosen - rejected)), reduction)


SimPOLoss = as_module(simpo_loss, "SimPOLoss")

SPEC = LossSpec(
    name="simpo",
    title="SimPO",
    family="preference",
    task="preference",
    formula=r"-\ln\sigma\Bigl(\frac{\beta}{|c|}\ln\pi(c)-\frac{\beta}{|r|}\ln\pi(r)-\gamma\Bigr)",
    input_space="log-likelihoods",
    function=simpo_loss,
    module=SimPOLoss,
    arguments=(Argument("chosen", "log-likelihoods"), Argument("rejected", "log-likelihoods")),
    variants=({"margin": 0.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    chance=lambda stats, options: Estimate(math.log1p(math.exp(float(options.get("margin", 1.0))))),
    floor=zero_floor,
    unit="nats",
    claims=(
        Claim("convex"),
        Claim("lipschitz", 2 * math.sqrt(2), why="β√2"),
        Claim("smooth", 2.0, why="β²/2"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of pairs",
    references=("https://arxiv.org/abs/2405.14734",),
)
