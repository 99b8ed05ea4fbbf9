"""SigLIP: every image-text pair of the batch is its own yes-no question, without a softmax over the batch.

``Σⱼ softplus(-yᵢⱼ (t·cos(aᵢ, bⱼ) + b))`` with y = 1 on the diagonal and -1 elsewhere, a mean over the N images. It is
a sum over N questions per image, so its value grows with the batch. A constant predictor that knows the base rate 1/N
reaches N·H(1/N) = ln N + (N-1) ln(N/(N-1)), about ln N + 1. With the usual start t = 10, b = -10 unrelated embeddings
cost about 10 (the bias is far too low for small N, and is learnt first), and **collapse** (all cosines 1) costs N ln
2. t and b are learnt: give them as tensors.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import cosines, require_rows
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "SigLIPLoss", "siglip_loss"]


def siglip_loss(
    input: Tensor,
    target: Tensor,
    *,
    scale: float | Tensor = 10.0,
    bias: float | Tensor = -10.0,
    reduction: str = "mean",
) -> Tensor:
    """Σⱼ softplus(∓(t·cos + b)) per row of ``input`` [N, D] against all rows of ``target`` [N, D]: [N].

    Zhai et al., arXiv:2303.15343, algorithm 1.

    >>> import torch
    >>> round(float(siglip_loss(torch.ones(4, 3), torch.ones(4, 3))) / math.log(2), 5)
    4.0
    """
    require_rows(input)
    same_shape(input, target)
    input, target = full_precision(input, target)
    logits = scale * cosines(input, target) + bias
    together = torch.eye(len(input), dtype=torch.bool, device=input.device)
    return reduce(F.softplus(torch.where(together, -logits, logits)).sum(1), reduction)


SigLIPLoss = as_module(siglip_loss, "SigLIPLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """N·H(1/N): the base rate of one pair in N, by scale and bias alone."""
    n = float(options.get("candidates", 0) or (stats.batch_rows / stats.updates if stats.updates else 0))
    if n < 1:
        return None
    return Estimate(math.log(n) + ((n - 1) * math.log(n / (n - 1)) if n > 1 else 0.0))


SPEC = LossSpec(
    name="siglip",
    title="SigLIP's sigmoid loss",
    family="contrastive",
    task="embedding",
    formula=r"\sum_j\ln\bigl(1+e^{-y_{ij}(t\cos(a_i,b_j)+b)}\bigr),\quad y_{ij}=2\delta_{ij}-1",
    input_space="embeddings",
    function=siglip_loss,
    module=SigLIPLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "embeddings")),
    variants=({"scale": 1.0, "bias": 0.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of an infinite scale",
    unit="nats",
    chance=_chance,
    floor=zero_floor,
    exceptions={
        "floor": "0 needs scale and bias to be learnt: at their defaults a pair of cosine 1 still costs ln 2",
        "chance": "of the best constant score with scale and bias learnt; held at other values they cost more",
    },
    claims=(
        Claim("scale-invariant"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
    ),
    batch_coupled=True,
    denominator="number of images",
    references=("https://arxiv.org/abs/2303.15343",),
)
