"""ApproxNDCG: 1 - NDCG with soft ranks, rankᵢ = 1 + Σ_{j≠i} σ((sⱼ - sᵢ)/T).

0 for scores in the right order with gaps well above T, at most 1. Soft ranks of tied scores are equal and lie in the
middle; by convexity of the discount the value never falls below the true optimum, so 0 is a bound. With equal scores
it is 1 - (mean discount at rank (M+1)/2)/IDCG, no constant. Gradients vanish where all gaps exceed a few T, right
order or not: raise T, or scale the scores. A list without relevant documents costs 0 and does not count. Not convex.
"""

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.ranking.lists import as_lists, discounts, gains, ideal_dcg
from losscope.losses.reduction import reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "ApproxNDCGLoss", "approx_ndcg_loss"]


def approx_ndcg_loss(
    input: Tensor,
    target: Tensor,
    mask: Tensor | None = None,
    *,
    temperature: float = 0.1,
    reduction: str = "mean",
) -> Tensor:
    """1 - soft NDCG per list of scores and relevances [N, M]; ``mask`` is 1 for real documents; "none" gives [N].

    Costs [N, M, M] of memory. Qin, Liu, Li 2010, doi:10.1007/s10791-009-9124-x; Bruch et al. 2019,
    doi:10.1145/3331184.3331347.

    >>> import torch
    >>> round(float(approx_ndcg_loss(torch.tensor([[3.0, 1.0, -2.0]]), torch.tensor([[2.0, 1.0, 0.0]]))), 6)
    0.0
    """
    require_positive(temperature=temperature)
    scores, relevance, real = as_lists(input, target, mask)
    gain = gains(relevance)
    ahead = ((scores[:, None, :] - scores[:, :, None]) / temperature).sigmoid()
    others = real[:, None, :] & ~torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
    ranks = 1 + torch.where(others, ahead, 0.0).sum(2)
    losses = 1 - (gain * discounts(ranks)).sum(1) / ideal_dcg(gain)
    return reduce(losses, reduction, (gain > 0).any(1).to(scores.dtype))


ApproxNDCGLoss = as_module(approx_ndcg_loss, "ApproxNDCGLoss")

SPEC = LossSpec(
    name="approx_ndcg",
    title="ApproxNDCG",
    family="ranking",
    task="ranking",
    formula=r"1-\frac1{\mathrm{IDCG}}\sum_i\frac{2^{r_i}-1}{\log_2(1+\hat\pi_i)},"
    r"\quad\hat\pi_i=1+\sum_{j\ne i}\sigma\bigl(\tfrac{s_j-s_i}T\bigr)",
    input_space="scores",
    function=approx_ndcg_loss,
    module=ApproxNDCGLoss,
    arguments=(Argument("input", "scores", axes="N M"), Argument("target", "relevance")),
    variants=({"temperature": 1.0}, {"reduction": "sum"}),
    range=(0.0, 1.0),
    attained="in the limit of gaps far above T in the right order",
    floor=zero_floor,
    claims=(Claim("shift-invariant"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    denominator="number of lists that have a relevant document",
    references=("https://doi.org/10.1007/s10791-009-9124-x", "https://doi.org/10.1145/3331184.3331347"),
)
