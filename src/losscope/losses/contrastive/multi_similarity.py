"""Multi-similarity loss: soft maxima over the partners and over the strangers of every anchor.

``(1/α) ln(1 + Σ_p e^{-α(s_p-λ)}) + (1/β) ln(1 + Σ_n e^{β(sₙ-λ)})`` over cosines s. This is the loss alone: the paper
mines pairs first, which drops the easy ones. At **collapse** (all cosines 1) the second part dominates and is about
1 - λ + ln(|N|)/β. An anchor without partners or strangers pays only for the kind that it has.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import cosines, partners, require_rows, softplus_of_logsumexp
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "MultiSimilarityLoss", "multi_similarity_loss"]


def multi_similarity_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    reduction: str = "mean",
) -> Tensor:
    """Multi-similarity loss of embeddings ``input`` [N, D] with labels ``target`` [N], one value per anchor.

    ``alpha`` and ``beta`` sharpen the maxima over partners and strangers, ``base`` is λ. Wang et al.,
    arXiv:1904.06627, eq. 15.

    >>> import torch
    >>> value = multi_similarity_loss(torch.ones(2, 3), torch.tensor([0, 0]))  # ½ ln(1 + e^-1)
    >>> round(float(value), 5)
    0.15663
    """
    require_rows(input, target)
    (input,) = full_precision(input)
    s = cosines(input, input) - base
    same, others = partners(target)
    losses = softplus_of_logsumexp(-alpha * s, same) / alpha + softplus_of_logsumexp(beta * s, others) / beta
    return reduce(losses, reduction)


MultiSimilarityLoss = as_module(multi_similarity_loss, "MultiSimilarityLoss")

SPEC = LossSpec(
    name="multi_similarity",
    title="multi-similarity loss",
    family="contrastive",
    task="embedding",
    formula=r"\tfrac1\alpha\ln\Bigl(1+\sum_p e^{-\alpha(s_p-\lambda)}\Bigr)"
    r"+\tfrac1\beta\ln\Bigl(1+\sum_n e^{\beta(s_n-\lambda)}\Bigr)",
    input_space="embeddings",
    function=multi_similarity_loss,
    module=MultiSimilarityLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "groups")),
    variants=({"alpha": 1.0, "beta": 10.0, "base": 0.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="by an anchor that is alone; in the limit of sharp maxima otherwise",
    claims=(Claim("scale-invariant"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    batch_coupled=True,
    denominator="number of anchors",
    references=("https://arxiv.org/abs/1904.06627",),
)
