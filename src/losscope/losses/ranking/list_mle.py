"""ListMLE: negative log-likelihood of the right order under the Plackett-Luce model of the scores.

``Σᵢ [ln Σ_{j: relⱼ ≤ relᵢ} exp sⱼ - sᵢ]``: every document must win against all that are not more relevant. With equal
scores and no ties it is **ln M!** (3.2 for 4 documents, 15.1 for 10). It grows with the length of the list, so that
long lists dominate a mean. **Ties** in relevance have no order: documents of one grade compete in one common
denominator (Breslow's form, as in Cox regression), which is independent of the order of the list; sorting, as most
implementations do, would teach an arbitrary order. A list whose relevances are all equal costs at least M ln M.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranking.lists import as_lists
from losscope.losses.reduction import reduce
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "ListMLELoss", "list_mle_loss"]


def list_mle_loss(
    input: Tensor, target: Tensor, mask: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Plackett-Luce negative log-likelihood per list of scores and relevances [N, M]; ``mask`` 1 for real documents.

    "none" gives [N]. Costs [N, M, M] of memory. Xia et al. 2008, doi:10.1145/1390156.1390306, eq. 5.

    >>> import torch
    >>> round(float(list_mle_loss(torch.zeros(1, 4), torch.tensor([[0.0, 3.0, 1.0, 2.0]])).exp()))  # 4!
    24
    """
    scores, relevance, real = as_lists(input, target, mask)
    rivals = (relevance[:, None, :] <= relevance[:, :, None]) & real[:, None, :]
    # A padded document has itself as its only rival, so that no row is empty; its loss is dropped.
    rivals = torch.where(
        real[:, :, None], rivals, torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
    )
    field = torch.where(rivals, scores[:, None, :], -math.inf).logsumexp(2)
    losses = torch.where(real, field - scores, 0.0).sum(1)
    return reduce(losses, reduction, real.any(1).to(scores.dtype))


ListMLELoss = as_module(list_mle_loss, "ListMLELoss")

SPEC = LossSpec(
    name="list_mle",
    title="ListMLE",
    family="ranking",
    task="ranking",
    formula=r"\sum_i\Bigl[\ln\sum_{j:\,r_j\le r_i}e^{s_j}-s_i\Bigr]",
    input_space="scores",
    function=list_mle_loss,
    module=ListMLELoss,
    arguments=(Argument("input", "scores", axes="N M"), Argument("target", "relevance")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of infinite gaps between scores in the right order, without ties in relevance",
    unit="nats",
    claims=(Claim("convex"), Claim("shift-invariant"), Claim("permutation-equivariant")),
    denominator="number of lists that are not empty",
    references=("https://doi.org/10.1145/1390156.1390306",),
)
