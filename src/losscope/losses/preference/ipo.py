"""IPO: the squared distance of the log-ratio margin from 1/(2β), a finite aim instead of DPO's infinite one.

``(h - 1/(2β))²``, h = (ln π(c) - ln π_ref(c)) - (ln π(r) - ln π_ref(r)) without β. At the start (policy = reference)
every value is **1/(4β²)**: 25 for β = 0.1, 2500 for β = 0.01; values of other β are not comparable. It rises again
beyond the aim, so that it does not reward ever larger margins on pairs that always go one way. Libraries differ:
some divide the log-likelihoods by the lengths of the answers first, as the authors later advised; give averages for
that.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.preference.log_ratios import agreeing
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "IPOLoss", "ipo_loss"]


def ipo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float = 0.1,
    reduction: str = "mean",
) -> Tensor:
    """(h - 1/(2β))² for log-likelihoods [N] under policy and reference; ``beta`` is the paper's τ.

    Azar et al., arXiv:2310.12036, eq. 17.

    >>> import torch
    >>> same = torch.tensor([-42.0]), torch.tensor([-17.0])
    >>> float(ipo_loss(*same, *same, beta=0.1))
    25.0
    """
    require_positive(beta=beta)
    chosen, rejected, *reference = agreeing(chosen, rejected, reference_chosen, reference_rejected)
    h = (chosen - reference[0]) - (rejected - reference[1])
    return reduce((h - 1 / (2 * beta)).square(), reduction)


IPOLoss = as_module(ipo_loss, "IPOLoss")

SPEC = LossSpec(
    name="ipo",
    title="identity preference optimisation",
    family="preference",
    task="preference",
    formula=r"\Bigl(\ln\frac{\pi(c)}{\pi_\text{ref}(c)}-\ln\frac{\pi(r)}{\pi_\text{ref}(r)}-\frac1{2\beta}\Bigr)^2",
    input_space="log-likelihoods",
    function=ipo_loss,
    module=IPOLoss,
    arguments=(
        Argument("chosen", "log-likelihoods"),
        Argument("rejected", "log-likelihoods"),
        Argument("reference_chosen", "reference-log-likelihoods"),
        Argument("reference_rejected", "reference-log-likelihoods"),
    ),
    variants=({"beta": 0.5}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where every margin of log-ratios is 1/(2β)",
    chance=lambda stats, options: Estimate(0.25 / float(options.get("beta", 0.1)) ** 2),
    floor=zero_floor,
    claims=(Claim("convex"), Claim("smooth", 4.0), Claim("permutation-equivariant")),
    denominator="number of pairs",
    references=("https://arxiv.org/abs/2310.12036",),
)
