"""Alignment (Wang & Isola): mean distance^α of two views of a sample on the unit sphere.

0 where all pairs coincide, which a **collapsed** encoder reaches as well: alignment alone is not progress, and is read
together with uniformity, which is 0 at collapse and negative for a spread encoder. Unrelated embeddings in high
dimension give E‖x - y‖² = 2 for α = 2.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import norm, require_rows, unit
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "AlignmentLoss", "alignment_loss"]


def alignment_loss(input: Tensor, target: Tensor, *, alpha: float = 2.0, reduction: str = "mean") -> Tensor:
    """‖x̂ - ŷ‖^α of the two views ``input`` and ``target`` [N, D] after normalising; "none" gives [N].

    Wang and Isola, arXiv:2005.10242, section 4.

    >>> import torch
    >>> float(alignment_loss(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 7.0]])))
    2.0
    """
    require_rows(input)
    same_shape(input, target)
    input, target = full_precision(input, target)
    difference = unit(input) - unit(target)
    losses = (difference * difference).sum(1) if alpha == 2 else norm(difference) ** alpha
    return reduce(losses, reduction)


AlignmentLoss = as_module(alignment_loss, "AlignmentLoss")

SPEC = LossSpec(
    name="alignment",
    title="alignment on the sphere",
    family="contrastive",
    task="embedding",
    formula=r"\|\hat x-\hat y\|_2^\alpha",
    input_space="embeddings",
    function=alignment_loss,
    module=AlignmentLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "embeddings")),
    variants=({"alpha": 1.0}, {"reduction": "sum"}),
    range=(0.0, 4.0),
    attained="where both views have the same direction, collapse included",
    floor=zero_floor,
    claims=(
        Claim("scale-invariant"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
    ),
    denominator="number of pairs",
    references=("https://arxiv.org/abs/2005.10242",),
)
