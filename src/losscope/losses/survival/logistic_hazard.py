"""Discrete-time survival (logistic hazard): binary cross-entropy of "did it happen in this interval?", while at risk.

The network gives one logit per interval; its sigmoid is the hazard, the chance of the event in an interval given that
it has not happened before. A subject with an event in interval k costs Σ_{j<k} ln(1 + e^{z_j}) + ln(1 + e^{-z_k}); one
censored in k is taken to have survived it, Σ_{j≤k} ln(1 + e^{z_j}). Intervals after k do not count. The exact
likelihood of grouped times, with censoring, and convex; the survival curve is Π (1 - hazard).
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "LogisticHazardLoss", "logistic_hazard_loss"]


def logistic_hazard_loss(
    input: Tensor, interval: Tensor, events: Tensor, *, reduction: str = "mean"
) -> Tensor:
    """Negative log-likelihood of hazards sigmoid(``input``) [N, T] for the last ``interval`` [N] and ``events`` [N].

    ``interval`` is an index from 0 to T - 1 (others raise), ``events`` is 1 for an event in it, 0 for censored at its
    end. One value per subject. Kvamme and Borgan 2021, doi:10.1007/s10985-021-09532-6, eq. 8; Gensheimer and
    Narasimhan 2019, arXiv:1805.00917.

    >>> z = torch.zeros(2, 4)
    >>> y = logistic_hazard_loss(z, torch.tensor([0, 3]), torch.tensor([1.0, 0.0]), reduction="none")
    >>> (y / math.log(2)).round().tolist()  # one interval, then four, of ln 2 each
    [1.0, 4.0]
    """
    if input.dim() != 2:
        raise BadUsage("input holds one logit per subject and interval", seen=str(tuple(input.shape)))
    same_shape(input[:, 0], interval, ("one interval of input", "interval"))
    same_shape(interval, events, ("interval", "events"))
    (z,) = full_precision(input)
    happened = torch.zeros_like(z).scatter(1, interval.unsqueeze(1), events.to(z.dtype).unsqueeze(1))
    seen = torch.arange(z.shape[1], device=z.device) <= interval.unsqueeze(1)
    terms = F.binary_cross_entropy_with_logits(z, happened, reduction="none")
    return reduce(torch.where(seen, terms, 0.0).sum(1), reduction)


LogisticHazardLoss = as_module(logistic_hazard_loss, "LogisticHazardLoss")

SPEC = LossSpec(
    name="logistic_hazard",
    title="logistic hazard likelihood",
    family="survival",
    task="survival",
    formula=r"\sum_{j\le k}\ln(1+e^{z_j})-\delta z_k",
    input_space="logits",
    function=logistic_hazard_loss,
    module=LogisticHazardLoss,
    arguments=(
        Argument("input", "logits"),
        Argument("interval", "ordinal-index"),
        Argument("events", "events"),
    ),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of hazards 0 before, and 1 in, the interval of the event",
    unit="nats",
    elicits="hazards",
    claims=(Claim("convex"), Claim("smooth", 0.25), Claim("permutation-equivariant")),
    denominator="number of subjects",
    floor=zero_floor,
    references=("https://doi.org/10.1007/s10985-021-09532-6", "https://arxiv.org/abs/1805.00917"),
)
