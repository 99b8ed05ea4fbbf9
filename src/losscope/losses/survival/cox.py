"""Cox's negative log partial likelihood: Σ over events of ln Σ_{j at risk} e^{r_j} - r_i, with r the log hazard ratio.

At risk at time t are all subjects with time ≥ t, censored ones at t included. Times enter by their order only. Ties:
Breslow's approximation takes each of d simultaneous events against the whole risk set; Efron's removes, for the k-th of
them, the share k/d of the tied events, and is closer to the truth where ties are many. The samples of a batch are
coupled: a mini-batch sees only its own risk sets, so its loss is smaller than the whole data's (about ln of the batch
size) and is no estimate of it. Adding a constant to all r changes nothing. A batch without events costs 0.

The value for r = 0 is the mean of ln |risk set|: compare with that, not with 0.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "CoxLoss", "cox_loss"]


def cox_loss(
    risk: Tensor,
    times: Tensor,
    events: Tensor,
    *,
    ties: Literal["breslow", "efron"] = "efron",
    reduction: str = "mean",
) -> Tensor:
    """Negative log partial likelihood of log hazard ratios ``risk`` [N], ``times`` [N] and ``events`` [N] (1 or 0).

    "mean" divides by the number of events, "none" gives [N] with 0 for censored subjects (with Efron's method and ties
    only the sum over tied events has a meaning). No events: 0 with gradient 0. O(N log N); the log-sum-exps run over
    sorted times and are stable. Cox 1975; Breslow 1974; Efron 1977, doi:10.1080/01621459.1977.10480613.

    >>> r, t = torch.zeros(3), torch.tensor([1.0, 1.0, 2.0])
    >>> e = torch.tensor([1.0, 1.0, 0.0])
    >>> [round(float(cox_loss(r, t, e, ties=ties, reduction="sum")), 4) for ties in ("breslow", "efron")]
    [2.1972, 1.7918]
    """
    if risk.dim() != 1 or ties not in ("breslow", "efron"):
        raise BadUsage(
            "risk is one number per subject, and ties 'breslow' or 'efron'",
            seen=f"{tuple(risk.shape)}, {ties}",
        )
    same_shape(risk, times, ("risk", "times"))
    same_shape(risk, events, ("risk", "events"))
    (risk,) = full_precision(risk)
    order = times.argsort(descending=True, stable=True)
    r, t, e = risk[order], times[order], events.to(risk.dtype)[order]
    # Every subject takes the log-sum-exp up to the last of those that share its time.
    last = torch.searchsorted(-t, -t, right=True) - 1
    first = torch.searchsorted(-t, -t)
    at_risk = _log_cumulative(r).gather(0, last)
    if ties == "efron":
        at_risk = at_risk + _efron(r - at_risk, e, first, last)
    losses = torch.where(e > 0, at_risk - r, 0.0)
    return reduce(torch.zeros_like(losses).scatter(0, order, losses), reduction, events)


def _log_cumulative(x: Tensor) -> Tensor:
    """ln Σ_{j≤i} e^{x_j} by doubling: ``torch.logcumsumexp`` has a wrong second derivative where a gradient is 0."""
    step = 1
    while step < x.shape[0]:
        x = torch.cat([x[:step], x[step:] - F.logsigmoid(x[step:] - x[:-step])])
        step *= 2
    return x


def _efron(log_share: Tensor, e: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """ln(1 - k/d · S_D/S_R) for the k-th of d tied events, whose share S_D/S_R of the risk set is Σ e^{log_share}."""
    count = e.cumsum(0)
    rank = count - count.gather(0, first) + e.gather(0, first) - 1
    tied = count.gather(0, last) - count.gather(0, first) + e.gather(0, first)
    fraction = torch.where(e > 0, rank, 0.0) / tied.clamp(min=1)
    shares = torch.zeros_like(e).scatter_add(0, last, torch.where(e > 0, log_share.exp(), 0.0))
    return (-fraction * shares.gather(0, last)).log1p()


CoxLoss = as_module(cox_loss, "CoxLoss")

SPEC = LossSpec(
    name="cox",
    title="Cox partial likelihood",
    family="survival",
    task="survival",
    formula=r"\sum_{i:\delta_i=1}\left[\ln\sum_{j:t_j\ge t_i}e^{r_j}-r_i\right]",
    input_space="scores",
    function=cox_loss,
    module=CoxLoss,
    arguments=(Argument("risk", "risk"), Argument("times", "times"), Argument("events", "events")),
    variants=({"ties": "breslow"}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit where every event had by far the highest risk among those left",
    unit="nats",
    elicits="logarithm of the hazard ratio",
    claims=(Claim("convex"), Claim("shift-invariant"), Claim("permutation-equivariant")),
    batch_coupled=True,
    denominator="number of events",
    references=(
        "https://doi.org/10.1093/biomet/62.2.269",
        "https://doi.org/10.2307/2529620",
        "https://doi.org/10.1080/01621459.1977.10480613",
    ),
)
