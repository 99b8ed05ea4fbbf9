"""CosFace (AM-Softmax): softmax over cosines with class centres, a margin taken off one's own cosine.

The own logit is ``s·(cos θ - m)``, the others ``s·cos θ``. At **collapse** (all embeddings and centres equal) it is
ln(1 + (C-1) e^{sm}) ≈ sm + ln(C-1), 22.4 + ln(C-1) for s = 64, m = 0.35: a value near that is not divergence but
nothing learnt yet.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.margin_softmax import replaced_cross_entropy, require_centres
from losscope.losses.contrastive.pairs import cosines
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "CosFaceLoss", "cosface_loss"]


def cosface_loss(
    input: Tensor,
    weight: Tensor,
    target: Tensor,
    *,
    scale: float = 64.0,
    margin: float = 0.35,
    reduction: str = "mean",
) -> Tensor:
    """Large-margin cosine loss of embeddings ``input`` [N, D], centres ``weight`` [C, D], classes ``target`` [N].

    Wang et al., arXiv:1801.09414, eq. 4.

    >>> import torch
    >>> same = torch.ones(3, 2)  # collapse: ln(1 + 2 exp(64·0.35))
    >>> round(float(cosface_loss(same, same, torch.tensor([0, 1, 2]))), 4)
    23.0931
    """
    require_positive(scale=scale)
    require_centres(input, weight, target)
    input, weight = full_precision(input, weight)
    logits = scale * cosines(input, weight)
    own = logits.gather(1, target[:, None])[:, 0] - scale * margin
    return reduce(replaced_cross_entropy(logits, target, own), reduction)


CosFaceLoss = as_module(cosface_loss, "CosFaceLoss")

SPEC = LossSpec(
    name="cosface",
    title="CosFace",
    also=("AM-Softmax",),
    family="contrastive",
    task="multi-class",
    formula=r"-\ln\frac{e^{s(\cos\theta_y-m)}}{e^{s(\cos\theta_y-m)}+\sum_{k\ne y}e^{s\cos\theta_k}}",
    input_space="embeddings",
    function=cosface_loss,
    module=CosFaceLoss,
    arguments=(
        Argument("input", "embeddings"),
        Argument("weight", "embeddings", axes="C D"),
        Argument("target", "class-index"),
    ),
    variants=({"scale": 16.0, "margin": 0.1}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of a large scale, with every embedding at its centre and centres apart",
    unit="nats",
    claims=(Claim("scale-invariant"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    denominator="number of embeddings",
    references=("https://arxiv.org/abs/1801.09414",),
)
