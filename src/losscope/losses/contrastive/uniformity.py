"""Uniformity (Wang & Isola): ln of the mean Gaussian potential of all pairs of embeddings on the unit sphere.

``ln mean_{i<j} e^{-t‖x̂ᵢ - x̂ⱼ‖²}``. **0 at collapse** (all directions equal), negative otherwise; its infimum is -4t,
for two opposite points, and for uniformly spread points in high dimension about -2t. It is already a logarithm of a
mean, so that batches cannot be averaged into a bigger batch: larger batches give another value.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import cosines, require_rows
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "UniformityLoss", "uniformity_loss"]


def uniformity_loss(input: Tensor, *, t: float = 2.0) -> Tensor:
    """ln of the mean over pairs of e^{-t‖x̂ᵢ - x̂ⱼ‖²} for embeddings ``input`` [N, D]; 0 where there is no pair.

    Wang and Isola, arXiv:2005.10242, section 4.

    >>> import torch
    >>> float(uniformity_loss(torch.tensor([[1.0, 0.0], [-2.0, 0.0]])))
    -8.0
    """
    require_rows(input)
    (input,) = full_precision(input)
    n = len(input)
    if n < 2:
        return 0.0 * input.sum()
    itself = torch.eye(n, dtype=torch.bool, device=input.device)
    exponent = (t * (2 * cosines(input, input) - 2)).masked_fill(itself, -math.inf)
    return exponent.flatten(-2).logsumexp(-1) - math.log(n * (n - 1))


UniformityLoss = as_module(uniformity_loss, "UniformityLoss")

SPEC = LossSpec(
    name="uniformity",
    title="uniformity on the sphere",
    family="contrastive",
    task="embedding",
    formula=r"\ln\frac{2}{N(N-1)}\sum_{i<j}e^{-t\|\hat x_i-\hat x_j\|_2^2}",
    input_space="embeddings",
    function=uniformity_loss,
    module=UniformityLoss,
    arguments=(Argument("input", "embeddings"),),
    variants=({"t": 1.0},),
    range=(-8.0, 0.0),
    attained="with two opposite points (-4t with t = 2); 0 at collapse is the supremum",
    claims=(Claim("scale-invariant"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    batch_coupled=True,
    denominator="number of pairs, inside the logarithm",
    references=("https://arxiv.org/abs/2005.10242",),
)
