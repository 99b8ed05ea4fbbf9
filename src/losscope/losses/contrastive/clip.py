"""CLIP's symmetric InfoNCE: each image must find its text and each text its image within the batch.

The mean of the cross-entropies over the rows and over the columns of the N×N matrix of cosines/τ. At **chance**, and
at **collapse**, it is **ln N** (7.62 nats for 2048 on a device, 10.4 for CLIP's 32768). CLIP learns 1/τ as
exp(logit_scale) and clamps it at 100: give it as a tensor. With many ranks N is the global batch only where
embeddings are gathered with their gradient.
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
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "CLIPLoss", "clip_loss"]


def clip_loss(
    input: Tensor, target: Tensor, *, temperature: float | Tensor = 0.07, reduction: str = "mean"
) -> Tensor:
    """Mean of both directions of InfoNCE for ``input`` (images) and ``target`` (texts), both [N, D].

    ``temperature`` is 1/exp(logit_scale). ``reduction`` "none" gives [N], the mean of a pair's two directions.
    Radford et al., arXiv:2103.00020, figure 3.

    >>> import torch
    >>> round(float(clip_loss(torch.ones(8, 3), torch.ones(8, 3)).exp()))
    8
    """
    require_positive(temperature=temperature)
    require_rows(input)
    same_shape(input, target)
    input, target = full_precision(input, target)
    logits = cosines(input, target) / temperature
    losses = 0.5 * (logits.logsumexp(1) + logits.logsumexp(0)) - logits.diagonal()
    return reduce(losses, reduction)


CLIPLoss = as_module(clip_loss, "CLIPLoss")

SPEC = LossSpec(
    name="clip",
    title="CLIP's symmetric InfoNCE",
    family="contrastive",
    task="embedding",
    formula=r"-\tfrac12\ln\frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}-\tfrac12\ln\frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}},"
    r"\quad s_{ij}=\cos(a_i,b_j)/\tau",
    input_space="embeddings",
    function=clip_loss,
    module=CLIPLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "embeddings")),
    variants=({"temperature": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit τ → 0 of well separated pairs; else at the corners of a simplex",
    unit="nats",
    chance=chance_among(lambda n: n),
    floor=simplex_floor,
    normaliser=log_candidates,
    claims=(
        Claim("scale-invariant"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
    ),
    batch_coupled=True,
    denominator="number of pairs",
    references=("https://arxiv.org/abs/2103.00020",),
)
