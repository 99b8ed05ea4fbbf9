"""ListNet: cross-entropy of the top-one probabilities of relevances and of scores, softmax(rel) against softmax(s).

``-Σᵢ softmax(rel)ᵢ ln softmax(s)ᵢ`` over a list. With equal scores (chance, collapse) it is **ln M** for M
documents; its floor is not 0 but the **entropy of softmax(rel)**: ln M for a list whose relevances are all equal,
which teaches nothing. Ties in relevance share their probability, and scores are drawn to be equal there. Because
softmax(rel) is flat for grades 0 … 4, the range from chance to floor is often a few tenths of a nat.
"""

import math

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranking.lists import as_lists
from losscope.losses.reduction import reduce
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats
from losscope.losses.xlogy import xlogy

__all__ = ["SPEC", "ListNetLoss", "list_net_loss"]


def list_net_loss(
    input: Tensor, target: Tensor, mask: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """-Σ softmax(target) ln softmax(input) of each list: scores and relevances [N, M], ``mask`` 1 for real documents.

    "none" gives [N]; an empty list costs 0. Cao et al. 2007, doi:10.1145/1273496.1273513, section 4.

    >>> import torch
    >>> round(float(list_net_loss(torch.zeros(1, 5), torch.tensor([[0.0, 1.0, 2.0, 0.0, 3.0]])).exp()), 5)
    5.0
    """
    scores, relevance, real = as_lists(input, target, mask)
    log_model = scores - _logsumexp(scores, real)
    truth = torch.where(real, (relevance - _logsumexp(relevance, real)).exp(), 0.0)
    return reduce(-(truth * log_model).sum(1), reduction, real.any(1).to(scores.dtype))


def _logsumexp(x: Tensor, real: Tensor) -> Tensor:
    """Over the real documents of each list, [N, 1]; 0 for an empty list."""
    some = real.any(1, keepdim=True)
    return torch.where(real | ~some, x, -math.inf).logsumexp(1, keepdim=True)


ListNetLoss = as_module(list_net_loss, "ListNetLoss")


def _floor(options: Options, stats: TargetStats | None) -> float | None:
    """Mean entropy of softmax(rel) over the lists seen."""
    del options
    if stats is None or len(stats.sample.rows) == 0:
        return None
    rows = stats.sample.rows
    p = np.exp(rows - rows.max(1, keepdims=True))
    p = p / p.sum(1, keepdims=True)
    return float(-xlogy(p, p).sum(1).mean())


def _gradient(scores: Tensor, target: Tensor, options: Options) -> Tensor:
    """softmax(s) - softmax(rel)."""
    del options
    return scores.softmax(1) - target.softmax(1)


def _logit_hessian(scores: Tensor, target: Tensor, options: Options) -> Tensor:
    """diag(p) - ppᵀ."""
    del target, options
    p = scores.softmax(1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


SPEC = LossSpec(
    name="list_net",
    title="ListNet",
    family="ranking",
    task="ranking",
    formula=r"-\sum_i\operatorname{softmax}(r)_i\ln\operatorname{softmax}(s)_i",
    input_space="scores",
    function=list_net_loss,
    module=ListNetLoss,
    arguments=(Argument("input", "scores", axes="N M"), Argument("target", "relevance")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of one document that is far more relevant and scored so",
    floor=_floor,
    normaliser=lambda options: math.log(options["documents"]) if options.get("documents", 0) > 1 else None,
    unit="nats",
    claims=(
        Claim("convex"),
        Claim("lipschitz", math.sqrt(2), why="a difference of two distributions"),
        Claim("smooth", 0.5),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
    ),
    gradient=_gradient,
    logit_hessian=_logit_hessian,
    denominator="number of lists that are not empty",
    references=("https://doi.org/10.1145/1273496.1273513",),
)
