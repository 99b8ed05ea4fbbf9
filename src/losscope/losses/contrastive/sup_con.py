"""Supervised contrastive loss: every sample of one's group is a partner; the "out" form, with the mean outside the ln.

For anchor i with partners P(i), the others of its label: the mean over p ∈ P(i) of
``-ln(exp(cos(zᵢ, z_p)/τ) / Σ_{a≠i} exp(cos(zᵢ, z_a)/τ))``. The floor is not 0: several partners share the probability,
so an anchor with k partners cannot get below **ln k**. At **chance** and at **collapse** (all equal) it is ln(N - 1).
Anchors without a partner do not count (dividing by their number of partners is NaN, the usual bug).
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import chance_among, cosines, partners, require_rows
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "SupConLoss", "sup_con_loss"]


def sup_con_loss(
    input: Tensor, target: Tensor, *, temperature: float | Tensor = 0.1, reduction: str = "mean"
) -> Tensor:
    """Mean over the partners of each row of ``input`` [N, D] of its cross-entropy; ``target`` [N] are labels.

    ``reduction`` "none" gives [N] with 0 for rows without partners; "mean" leaves them out. Views of one sample are
    rows of one label. Khosla et al., arXiv:2004.11362, eq. 2.

    >>> import torch
    >>> float(sup_con_loss(torch.eye(3), torch.arange(3)))  # nobody has a partner
    0.0
    """
    require_positive(temperature=temperature)
    require_rows(input, target)
    (input,) = full_precision(input)
    logits = cosines(input, input) / temperature
    itself = torch.eye(len(input), dtype=torch.bool, device=input.device)
    same, _ = partners(target)
    count = same.sum(1)
    everyone = logits.masked_fill(itself, -math.inf).logsumexp(1, keepdim=True)
    attraction = torch.where(same, everyone - logits, 0.0).sum(1) / count.clamp(min=1)
    return reduce(attraction, reduction, (count > 0).to(attraction.dtype))


SupConLoss = as_module(sup_con_loss, "SupConLoss")

SPEC = LossSpec(
    name="sup_con",
    title="supervised contrastive loss",
    family="contrastive",
    task="embedding",
    formula=r"-\frac1{|P(i)|}\sum_{p\in P(i)}\ln\frac{e^{\cos(z_i,z_p)/\tau}}{\sum_{a\ne i}e^{\cos(z_i,z_a)/\tau}}",
    input_space="embeddings",
    function=sup_con_loss,
    module=SupConLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "groups")),
    variants=({"temperature": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="with two samples of one group and nothing else; ln k with k partners at τ → 0",
    unit="nats",
    chance=chance_among(lambda n: n - 1),
    normaliser=lambda options: (
        math.log(options["candidates"] - 1) if options.get("candidates", 0) > 2 else None
    ),
    claims=(Claim("scale-invariant"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    batch_coupled=True,
    denominator="number of anchors that have a partner",
    references=("https://arxiv.org/abs/2004.11362",),
)
