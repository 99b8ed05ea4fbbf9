"""InfoNCE: find the partner of each query among the partners of the whole batch.

``-ln(exp(cos(qᵢ, kᵢ)/τ) / Σⱼ exp(cos(qᵢ, kⱼ)/τ))``, the cross-entropy of N candidates. At **chance**, and at
**collapse** (all embeddings equal), it is **ln N** for a batch of N: a loss at ln N has learnt nothing, and one near
0 says little where N is small. ln N minus the loss bounds the mutual information of the views from below, never above
ln N. It is not 0 for finite τ: N unit vectors are at best the corners of a simplex, so that the floor is
ln(1 + (N-1) exp(-N/((N-1)τ))). The value changes with the batch size and τ; compare it only where both are the same.

Traps: duplicates in a batch are false negatives; N is the batch per device unless embeddings are gathered; a τ that
is learnt lowers the loss without better embeddings.

>>> import torch
>>> collapsed = torch.ones(8, 3)
>>> round(float(info_nce_loss(collapsed, collapsed)), 4), round(math.log(8), 4)
(2.0794, 2.0794)
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import (
    chance_among,
    cosines,
    log_candidates,
    require_rows,
    simplex_floor,
)
from losscope.losses.graph.fused import own_reduction
from losscope.losses.graph.part import Part
from losscope.losses.graph.similarities import similarities
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

__all__ = ["SPEC", "InfoNCELoss", "info_nce_loss"]


def info_nce_loss(
    input: Tensor, target: Tensor, *, temperature: float | Tensor = 0.1, reduction: str = "mean"
) -> Tensor:
    """-ln softmax(cos(input, target)/τ)ᵢᵢ for queries ``input`` and keys ``target``, both [N, D].

    Row i of ``target`` is the partner of row i of ``input``; all other rows are its negatives. ``reduction`` "none"
    gives [N]. van den Oord et al., arXiv:1807.03748, eq. 4, with cosines as in MoCo.

    >>> import torch
    >>> float(info_nce_loss(torch.eye(2), torch.eye(2), temperature=1.0).exp())  # doctest: +ELLIPSIS
    1.36787...
    """
    require_positive(temperature=temperature)
    require_rows(input)
    same_shape(input, target)
    input, target = full_precision(input, target)
    logits = cosines(input, target) / temperature
    return reduce(logits.logsumexp(1) - logits.diagonal(), reduction)


def _as_cross_entropy(part: Part) -> Reading | None:
    """``F.cross_entropy(cosines / τ, torch.arange(N))``."""
    node = part.node
    found = similarities(node)
    if found is None:
        return None
    options: dict[str, object] = {"candidates": found.logits.shape[0], "target": "class"}
    if found.temperature is not None:
        options["temperature"] = found.temperature
    return Reading(
        prediction=found.logits,
        tensor=node.saved("self"),
        tensor_is="log-probabilities",
        target=node.saved("target"),
        options=options,
        reduction=own_reduction(node),
    )


InfoNCELoss = as_module(info_nce_loss, "InfoNCELoss")

SPEC = LossSpec(
    name="info_nce",
    title="InfoNCE",
    family="contrastive",
    task="embedding",
    formula=r"-\ln\frac{e^{\cos(q_i,k_i)/\tau}}{\sum_j e^{\cos(q_i,k_j)/\tau}}",
    input_space="embeddings",
    function=info_nce_loss,
    module=InfoNCELoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "embeddings")),
    variants=({"temperature": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit τ → 0 of well separated pairs; else at the corners of a simplex",
    unit="nats",
    chance=chance_among(lambda n: n),
    floor=simplex_floor,
    normaliser=log_candidates,
    claims=(Claim("scale-invariant"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    batch_coupled=True,
    denominator="number of queries",
    signatures=(Signature(("NllLoss",), _as_cross_entropy),),
    references=("https://arxiv.org/abs/1807.03748", "https://arxiv.org/abs/1911.05722"),
    examples=(
        Example(
            "F.cross_entropy(F.normalize(x) @ F.normalize(u).t() / 0.1, torch.arange(8))",
            "-(F.normalize(x) @ F.normalize(u).t() / 0.1).log_softmax(1).diagonal().mean()",
            options={"temperature": 0.1, "candidates": 8},
        ),
        Example(
            "F.cross_entropy(20 * torch.matmul(F.normalize(x), F.normalize(u).T).t(), torch.arange(8))",
            "-(20 * F.normalize(u) @ F.normalize(x).t()).log_softmax(1).diagonal().mean()",
            options={"temperature": 0.05, "candidates": 8},
        ),
        Example(
            "F.cross_entropy(torch.einsum('nd,md->nm', F.normalize(x), F.normalize(u)), torch.arange(8), "
            "reduction='sum')",
            "-(F.normalize(x) @ F.normalize(u).t()).log_softmax(1).diagonal().sum()",
            "sum",
            options={"temperature": 1.0},
        ),
        Example(
            "F.nll_loss((F.normalize(x) @ F.normalize(u.detach()).t() * 2).log_softmax(1), torch.arange(8))",
            "-(2 * F.normalize(x) @ F.normalize(u).t()).log_softmax(1).diagonal().mean()",
            options={"temperature": 0.5},
        ),
        Example(
            "F.cross_entropy(F.normalize(x) @ F.normalize(u).t() * params[0].mean().exp(), torch.arange(8))",
            "-(F.normalize(x) @ F.normalize(u).t() * params[0].mean().exp()).log_softmax(1).diagonal().mean()",
            options={"temperature": None},  # learned: it will not be the same in the next batch
        ),
    ),
    twins=(
        Twin("F.cross_entropy(x @ u.t(), torch.arange(8))", "cross_entropy"),
        Twin("F.cross_entropy(F.normalize(x) @ u.t() / 0.1, torch.arange(8))", "cross_entropy"),
        Twin(
            "F.cross_entropy(F.normalize(x) @ F.normalize(u).t() / 0.1, torch.arange(8).flip(0))",
            "cross_entropy",
        ),
        Twin("F.cross_entropy(F.normalize(x) @ F.normalize(u).t()[:, :5], y)", "cross_entropy"),
        Twin("F.cross_entropy(F.normalize(x)[:5] @ F.normalize(x).t()[:, :5], y[:5])", "cross_entropy"),
    ),
)
