"""ArcFace: softmax over cosines with class centres, after the angle to one's own centre is enlarged by a margin.

The own logit is ``s·cos(θ + m)``, the others ``s·cos θ``. Written with ``acos`` its gradient is infinite at cos θ =
±1, which half precision reaches; here ``cos(θ + m) = cos θ cos m - sin θ sin m`` with sin θ the length of the part
of the embedding that is orthogonal to the centre, exact near 0 and with a bounded gradient. Beyond θ > π - m, where
cos(θ + m) would rise again, it goes on as ``cos θ - m sin m``, as in the authors' code; that is a small step down.

At **collapse** (all embeddings and centres equal) it is ln(1 + (C-1) e^{s(1-cos m)}) ≈ s(1 - cos m) + ln(C-1), 7.8 +
ln(C-1) for s = 64, m = 0.5, well above ln C. Chance is far above ln C as well, so a start at 20 or 40 is normal.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.margin_softmax import replaced_cross_entropy, require_centres
from losscope.losses.contrastive.pairs import norm, unit
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import full_precision, product, reduce
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "ArcFaceLoss", "arcface_loss"]


def arcface_loss(
    input: Tensor,
    weight: Tensor,
    target: Tensor,
    *,
    scale: float = 64.0,
    margin: float = 0.5,
    reduction: str = "mean",
) -> Tensor:
    """Additive-angular-margin softmax of embeddings ``input`` [N, D], centres ``weight`` [C, D], classes [N].

    ``margin`` is in radians, from 0 to π/2. Deng et al., arXiv:1801.07698, eq. 3.

    >>> import torch
    >>> same = torch.ones(3, 2)  # collapse: ln(1 + 2 exp(64 (1 - cos 0.5)))
    >>> round(float(arcface_loss(same, same, torch.tensor([0, 1, 2]))), 2)
    8.53
    """
    require_positive(scale=scale)
    require_centres(input, weight, target)
    input, weight = (unit(x) for x in full_precision(input, weight))
    logits = scale * product(input, weight.mT)
    centre = torch.gather(weight, 0, target[:, None].expand(-1, weight.shape[1]))
    cos = (input * centre).sum(1)
    sin = norm(input - cos[:, None] * centre)
    turned = cos * math.cos(margin) - sin * math.sin(margin)
    own = torch.where(cos > -math.cos(margin), turned, cos - margin * math.sin(margin))
    return reduce(replaced_cross_entropy(logits, target, scale * own), reduction)


ArcFaceLoss = as_module(arcface_loss, "ArcFaceLoss")

SPEC = LossSpec(
    name="arcface",
    title="ArcFace",
    family="contrastive",
    task="multi-class",
    formula=r"-\ln\frac{e^{s\cos(\theta_y+m)}}{e^{s\cos(\theta_y+m)}+\sum_{k\ne y}e^{s\cos\theta_k}}",
    input_space="embeddings",
    function=arcface_loss,
    module=ArcFaceLoss,
    arguments=(
        Argument("input", "embeddings"),
        Argument("weight", "embeddings", axes="C D"),
        Argument("target", "class-index"),
    ),
    variants=({"scale": 16.0, "margin": 0.2}, {"margin": 0.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of a large scale, with every embedding at its centre and centres apart",
    unit="nats",
    claims=(Claim("scale-invariant"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    denominator="number of embeddings",
    exceptions={
        "continuous": "beyond an angle of π - m the published penalty goes on as cos θ - m sin m, with a step between"
    },
    references=("https://arxiv.org/abs/1801.07698",),
)
