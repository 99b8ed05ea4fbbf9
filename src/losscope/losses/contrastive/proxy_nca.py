"""Proxy-NCA: every embedding near the proxy of its class and far from all other proxies.

``d(x, p_y) + ln Σ_{k≠y} e^{-d(x, p_k)}`` with d the squared distance of unit vectors, from 0 to 4. As in the paper,
the own proxy is **not** in the sum, so that the loss is not a cross-entropy: it falls below 0 and its infimum is -4
(own proxy at 0, the others opposite, C = 2). At **collapse** (all equal) it is **ln(C - 1)**. Libraries often
compute the softmax over all proxies under the same name (Proxy-NCA++), whose values are not comparable:
``include_own``, ln C at collapse.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.margin_softmax import at_class, require_centres
from losscope.losses.contrastive.pairs import cosines
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "ProxyNCALoss", "proxy_nca_loss"]


def proxy_nca_loss(
    input: Tensor,
    proxies: Tensor,
    target: Tensor,
    *,
    scale: float = 1.0,
    include_own: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Proxy-NCA of embeddings ``input`` [N, D], ``proxies`` [C, D], classes ``target`` [N]; one value per embedding.

    ``scale`` multiplies the squared distances; ``include_own`` gives the cross-entropy over all proxies. Needs two
    classes. Movshovitz-Attias et al., arXiv:1703.07464, eq. 4; arXiv:2004.01113 (Proxy-NCA++).

    >>> import torch
    >>> round(float(proxy_nca_loss(torch.ones(2, 3), torch.ones(4, 3), torch.tensor([0, 3])).exp()))
    3
    """
    require_centres(input, proxies, target)
    input, proxies = full_precision(input, proxies)
    nearness = scale * (2 * cosines(input, proxies) - 2)
    own = nearness.gather(1, target[:, None])
    if not include_own:
        nearness = nearness.masked_fill(at_class(nearness, target), -math.inf)
    return reduce(nearness.logsumexp(1) - own[:, 0], reduction)


ProxyNCALoss = as_module(proxy_nca_loss, "ProxyNCALoss")

SPEC = LossSpec(
    name="proxy_nca",
    title="Proxy-NCA",
    family="contrastive",
    task="multi-class",
    formula=r"-\ln\frac{e^{-d(x,p_y)}}{\sum_{k\ne y}e^{-d(x,p_k)}},\quad d=\|\hat x-\hat p\|^2",
    input_space="embeddings",
    function=proxy_nca_loss,
    module=ProxyNCALoss,
    arguments=(
        Argument("input", "embeddings"),
        Argument("proxies", "embeddings", axes="C D"),
        Argument("target", "class-index"),
    ),
    variants=({"scale": 0.5}, {"include_own": True}),
    range=(-4.0, math.inf),
    attained="with two classes, the embedding at its proxy and the other one opposite",
    claims=(Claim("scale-invariant"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    denominator="number of embeddings",
    references=("https://arxiv.org/abs/1703.07464", "https://arxiv.org/abs/2004.01113"),
)
