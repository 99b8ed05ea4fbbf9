"""Batch-hard triplet loss: each anchor with its farthest partner and its nearest stranger within the batch.

``max(0, max_p d(a, p) - min_n d(a, n) + m)``, or softplus without a margin (``soft``). At **collapse** (all embeddings
equal) it is exactly the **margin** (ln 2 when soft): a loss that settles at the margin has collapsed and is not
"slowly learning". Mining makes it harder as the model improves, so the value hardly falls while training goes well;
the share of anchors above 0 tells more. Anchors without a partner or without a stranger do not count; a batch
without any costs 0.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import distances, partners, require_rows
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "BatchHardTripletLoss", "batch_hard_triplet_loss"]


def batch_hard_triplet_loss(
    input: Tensor, target: Tensor, *, margin: float = 0.2, soft: bool = False, reduction: str = "mean"
) -> Tensor:
    """Hinge (or softplus) of the farthest partner's minus the nearest stranger's Euclidean distance.

    ``input`` [N, D] embeddings, ``target`` [N] labels; ``reduction`` "none" gives [N], 0 for anchors that do not
    count. Costs [N, N, D] of memory. Hermans et al., arXiv:1703.07737, eq. 5.

    >>> import torch
    >>> round(float(batch_hard_triplet_loss(torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))), 4)
    0.2
    >>> float(batch_hard_triplet_loss(torch.ones(4, 3), torch.arange(4)))  # nobody has a partner
    0.0
    """
    require_not_negative(margin=margin)
    require_rows(input, target)
    (input,) = full_precision(input)
    d = distances(input, input)
    same, others = partners(target)
    counted = same.any(1) & others.any(1)
    # A column of its own keeps max and min defined in an empty batch; it is never chosen where an anchor counts.
    farthest = torch.cat([d.masked_fill(~same, -1.0), d.new_full((len(d), 1), -1.0)], 1).amax(1)
    nearest = torch.cat([d.masked_fill(~others, math.inf), d.new_full((len(d), 1), math.inf)], 1).amin(1)
    gap = torch.where(counted, farthest - nearest, 0.0)
    losses = F.softplus(gap) if soft else (gap + margin).relu()
    return reduce(losses, reduction, counted.to(losses.dtype))


BatchHardTripletLoss = as_module(batch_hard_triplet_loss, "BatchHardTripletLoss")

SPEC = LossSpec(
    name="batch_hard_triplet",
    title="batch-hard triplet loss",
    also=("hard triplet",),
    family="contrastive",
    task="embedding",
    formula=r"\max\bigl(0,\max_{p}d(a,p)-\min_{n}d(a,n)+m\bigr)",
    input_space="embeddings",
    function=batch_hard_triplet_loss,
    module=BatchHardTripletLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "groups")),
    variants=({"margin": 1.0}, {"soft": True}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where every stranger is farther than every partner by the margin",
    chance=lambda stats, options: Estimate(
        math.log(2) if options.get("soft") else max(0.0, float(options.get("margin", 0.2)))
    ),
    floor=zero_floor,
    claims=(Claim("convex", holds=False), Claim("permutation-equivariant")),
    batch_coupled=True,
    denominator="number of anchors that have a partner and a stranger",
    references=("https://arxiv.org/abs/1703.07737",),
)
