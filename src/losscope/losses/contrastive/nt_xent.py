"""NT-Xent (SimCLR): each of 2N views must find its other view among the 2N - 1 others.

The normalised-temperature cross-entropy: InfoNCE in which both views are queries and all other views, of both kinds,
are candidates; a view is never its own candidate. At **chance**, and at **collapse** (all embeddings equal), it is
**ln(2N - 1)**. Forgetting to take out the diagonal raises that to ln(2N) and leaves the gradient nearly right, which
is why the bug survives; here it is a test.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import chance_among, cosines, require_rows
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "NTXentLoss", "nt_xent_loss"]


def nt_xent_loss(
    input: Tensor, target: Tensor, *, temperature: float | Tensor = 0.5, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of every view's partner among all other views; ``input`` and ``target`` [N, D] are the two views.

    ``reduction`` "none" gives [N], the mean of the two views of a sample; "mean" is the mean over all 2N views.
    Chen et al., arXiv:2002.05709, eq. 1.

    >>> import torch
    >>> round(float(nt_xent_loss(torch.ones(4, 3), torch.ones(4, 3)).exp()))  # chance among 2·4 - 1
    7
    """
    require_positive(temperature=temperature)
    require_rows(input)
    same_shape(input, target)
    input, target = full_precision(input, target)
    n = len(input)
    views = torch.cat([input, target])
    logits = cosines(views, views) / temperature
    itself = torch.eye(2 * n, dtype=torch.bool, device=logits.device)
    partner = torch.cat([logits.diagonal(n), logits.diagonal(-n)])
    losses = logits.masked_fill(itself, -math.inf).logsumexp(1) - partner
    return reduce(losses.reshape(2, n).mean(0), reduction)


NTXentLoss = as_module(nt_xent_loss, "NTXentLoss")

SPEC = LossSpec(
    name="nt_xent",
    title="NT-Xent (SimCLR)",
    also=("SimCLR",),
    family="contrastive",
    task="embedding",
    formula=r"-\ln\frac{e^{\cos(z_i,z_{i'})/\tau}}{\sum_{j\ne i}e^{\cos(z_i,z_j)/\tau}}",
    input_space="embeddings",
    function=nt_xent_loss,
    module=NTXentLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "embeddings")),
    variants=({"temperature": 0.1}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="with a single pair, whose only candidate is the partner",
    unit="nats",
    chance=chance_among(lambda n: 2 * n - 1),
    normaliser=lambda options: (
        math.log(2 * options["candidates"] - 1) if options.get("candidates", 0) > 1 else None
    ),
    claims=(
        Claim("scale-invariant"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
    ),
    batch_coupled=True,
    denominator="number of views",
    references=("https://arxiv.org/abs/2002.05709",),
)
