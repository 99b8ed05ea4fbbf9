"""Contrastive loss of pairs (Hadsell): similar pairs are drawn together, others pushed apart up to a margin.

``½d²`` for a pair that belongs together, ``½ max(0, m - d)²`` for one that does not, d the Euclidean distance of the
two embeddings. At **collapse** (all embeddings equal) it is **½m² times the share of dissimilar pairs**; that is a
saddle, since the gradient of d at d = 0 is taken as 0, and a network that maps everything to one point stays there.
Traps: labels mean 1 = similar here (Hadsell's own Y is 0 for similar pairs; libraries differ); embeddings are not
normalised, so that the margin sets their scale.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import norm, require_rows
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "ContrastivePairLoss", "contrastive_pair_loss"]


def contrastive_pair_loss(
    input: Tensor, other: Tensor, target: Tensor, *, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """½t·d² + ½(1-t)·max(0, m-d)² for pairs ``input``, ``other`` [N, D]; ``target`` [N] is 1 for similar, else 0.

    Hadsell, Chopra, LeCun 2006, eq. 4 (doi:10.1109/CVPR.2006.100), with the label the other way round.

    >>> import torch
    >>> a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.6, 0.0]])
    >>> round(float(contrastive_pair_loss(a, b, torch.tensor([0.0]))), 4)  # ½·0.4²
    0.08
    """
    require_not_negative(margin=margin)
    require_rows(input, target)
    same_shape(input, other, ("input", "other"))
    input, other = full_precision(input, other)
    similar = target.to(input.dtype)
    difference = input - other
    near = similar * (difference * difference).sum(1)
    losses = near + (1 - similar) * (margin - norm(difference)).relu().square()
    return reduce(0.5 * losses, reduction)


ContrastivePairLoss = as_module(contrastive_pair_loss, "ContrastivePairLoss")

SPEC = LossSpec(
    name="contrastive_pair",
    title="contrastive loss of pairs",
    also=("siamese",),
    family="contrastive",
    task="embedding",
    formula=r"\tfrac12 t\,d^2+\tfrac12(1-t)\max(0,m-d)^2,\quad d=\|a-b\|_2",
    input_space="embeddings",
    function=contrastive_pair_loss,
    module=ContrastivePairLoss,
    arguments=(
        Argument("input", "embeddings"),
        Argument("other", "embeddings"),
        Argument("target", "binary-label"),
    ),
    variants=({"margin": 2.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where similar pairs coincide and others are a margin apart",
    floor=zero_floor,
    claims=(Claim("convex", holds=False), Claim("permutation-equivariant")),
    denominator="number of pairs",
    references=("https://doi.org/10.1109/CVPR.2006.100",),
)
