"""Circle loss: every similarity is weighted by how far it is from where it should be.

Per anchor ``softplus(LSE_n γ αₙ (sₙ - m) + LSE_p -γ α_p (s_p - 1 + m))`` with the weights ``αₙ = max(0, sₙ + m)``
and ``α_p = max(0, 1 + m - s_p)``, over cosines s. The weights are **held constant in the backward pass** (detached),
so autograd's gradient is on purpose not the gradient of the value. At **collapse** (all cosines 1) it is
γ(1 - 2m²) + ln(|P||N|), 224 and more with the defaults. Anchors without a partner or
without a stranger do not count.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import cosines, partners, require_rows
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "CircleLoss", "circle_loss"]


def circle_loss(
    input: Tensor, target: Tensor, *, margin: float = 0.25, scale: float = 256.0, reduction: str = "mean"
) -> Tensor:
    """Circle loss of embeddings ``input`` [N, D] with labels ``target`` [N], one value per anchor.

    ``scale`` is γ; ``reduction`` "none" gives [N], 0 for anchors that do not count.
    Sun et al., arXiv:2002.10857, eq. 8.

    >>> import torch
    >>> far = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    >>> float(circle_loss(far, torch.tensor([0, 0, 1, 1]))) < 1e-6
    True
    """
    require_rows(input, target)
    (input,) = full_precision(input)
    s = cosines(input, input)
    same, others = partners(target)
    counted = same.any(1) & others.any(1)
    far, near = (s.detach() + margin).relu(), (1 + margin - s.detach()).relu()
    push = torch.where(others, scale * far * (s - margin), -math.inf)
    pull = torch.where(same, -scale * near * (s - 1 + margin), -math.inf)
    exponent = torch.where(counted, push.logsumexp(1) + pull.logsumexp(1), 0.0)
    return reduce(F.softplus(exponent), reduction, counted.to(s.dtype))


CircleLoss = as_module(circle_loss, "CircleLoss")

SPEC = LossSpec(
    name="circle",
    title="circle loss",
    family="contrastive",
    task="embedding",
    formula=r"\ln\Bigl(1+\sum_n e^{\gamma\alpha_n(s_n-m)}\sum_p e^{-\gamma\alpha_p(s_p-1+m)}\Bigr)",
    input_space="embeddings",
    function=circle_loss,
    module=CircleLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "groups")),
    variants=({"margin": 0.4, "scale": 80.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of a large scale, with partners at cosine 1 and strangers below -m",
    floor=zero_floor,
    claims=(Claim("scale-invariant"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    gradient_kind="detached",
    batch_coupled=True,
    exceptions=dict.fromkeys(
        ("gradient", "second-gradient"), "the weights of pairs are constants on purpose"
    ),
    denominator="number of anchors that have a partner and a stranger",
    references=("https://arxiv.org/abs/2002.10857",),
)
