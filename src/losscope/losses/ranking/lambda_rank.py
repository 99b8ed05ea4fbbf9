"""LambdaRank: pairwise logistic loss in which every pair weighs what exchanging it would change in NDCG.

``Σ_{relᵢ > relⱼ} |ΔNDCGᵢⱼ| softplus(sⱼ - sᵢ)``, ΔNDCG = (Gᵢ - Gⱼ)(1/log₂(1+rankᵢ) - 1/log₂(1+rankⱼ))/IDCG with the
present ranks, **held constant** (ranks have no derivative): autograd's gradient is the lambda, not the gradient of
the value. The value jumps where two scores cross, and can rise while NDCG rises. Ties in the scores are ranked in
the order of the list, as any sort does; with equal ranks they would have no gradient, and a constant start would
never leave. Pairs of equal relevance do not count; a list without two grades costs 0.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranking.lists import as_lists, discounts, gains, ideal_dcg
from losscope.losses.reduction import reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "LambdaRankLoss", "lambda_rank_loss"]


def lambda_rank_loss(
    input: Tensor, target: Tensor, mask: Tensor | None = None, *, scale: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """ΔNDCG-weighted pairwise logistic loss per list of scores and relevances [N, M]; ``scale`` multiplies the scores.

    "none" gives [N]. Costs [N, M, M] of memory. Burges, MSR-TR-2010-82, section 4; Wang et al. 2018,
    doi:10.1145/3269206.3271784.

    >>> import torch
    >>> value = lambda_rank_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))  # (1 - 1/log₂3) ln 2
    >>> round(float(value), 4)
    0.2558
    """
    scores, relevance, real = as_lists(input, target, mask)
    gain = gains(relevance)
    order = scores.detach().masked_fill(~real, -math.inf).argsort(dim=1, descending=True, stable=True)
    discount = discounts(order.argsort(dim=1).to(scores.dtype) + 1)
    change = (gain[:, :, None] - gain[:, None, :]) * (discount[:, :, None] - discount[:, None, :])
    weight = change.abs() / ideal_dcg(gain)[:, None, None]
    better = (relevance[:, :, None] > relevance[:, None, :]) & real[:, :, None] & real[:, None, :]
    pairs = F.softplus(scale * (scores[:, None, :] - scores[:, :, None]))
    losses = torch.where(better, weight * pairs, 0.0).sum((1, 2))
    return reduce(losses, reduction, real.any(1).to(scores.dtype))


LambdaRankLoss = as_module(lambda_rank_loss, "LambdaRankLoss")

SPEC = LossSpec(
    name="lambda_rank",
    title="LambdaRank",
    family="ranking",
    task="ranking",
    formula=r"\sum_{r_i>r_j}|\Delta\mathrm{NDCG}_{ij}|\,\ln(1+e^{-(s_i-s_j)})",
    input_space="scores",
    function=lambda_rank_loss,
    module=LambdaRankLoss,
    arguments=(Argument("input", "scores", axes="N M"), Argument("target", "relevance")),
    variants=({"scale": 2.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of infinite gaps between scores in the right order",
    floor=zero_floor,
    claims=(Claim("shift-invariant"), Claim("permutation-equivariant")),
    gradient_kind="detached",
    denominator="number of lists that are not empty",
    exceptions={
        "continuous": "the weights are those of the present order: they jump where two scores change places"
    },
    references=(
        "https://doi.org/10.1145/3269206.3271784",
        "https://proceedings.neurips.cc/paper/2006/hash/af44c4c56f385c43f2529f9b1b018f6a-Abstract.html",
    ),
)
