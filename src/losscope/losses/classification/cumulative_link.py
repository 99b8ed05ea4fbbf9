"""Cumulative logit (proportional odds) for ordered classes: -ln(σ(θ_y - s) - σ(θ_{y-1} - s)).

One score s per sample and K-1 rising thresholds θ for all: the ordered logit model of McCullagh. A true log-likelihood
in nats, convex in s and jointly in (s, θ), with slope within ±1. Thresholds are usually learnt; then the best constant
gives the label distribution, and the chance level is the label entropy (with frozen thresholds a constant does worse).
Thresholds that do not rise give NaN: learn them through ``rising_thresholds``. Adding one number to all scores and
thresholds changes nothing, so the score layer needs no bias. The difference of two sigmoids is never formed here, which
is 0 in float32 from |s| near 17 on.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.entropy import class_chance, log_classes
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "CumulativeLinkLoss", "cumulative_link_loss", "rising_thresholds"]


def rising_thresholds(raw: Tensor) -> Tensor:
    """Free parameters [K-1] as rising thresholds: the first one, then steps of softplus(raw).

    >>> import torch
    >>> bool((rising_thresholds(torch.tensor([0.0, -3.0, 2.0])).diff() > 0).all())
    True
    """
    return torch.cat([raw[:1], raw[:1] + F.softplus(raw[1:]).cumsum(0)])


def cumulative_link_loss(
    input: Tensor, target: Tensor, thresholds: Tensor, *, reduction: str = "mean"
) -> Tensor:
    """-ln P(y | s) for scores ``input`` [N, …], ranks ``target`` [N, …] in 0 … K-1 and ``thresholds`` [K-1].

    P(y ≤ k | s) = σ(θ_k - s). Computed as -ln σ(θ_y - s) - ln σ(s - θ_{y-1}) - ln(1 - e^-(θ_y - θ_{y-1})). Thresholds
    must rise; they get a gradient. float16 and bfloat16 are computed and returned in float32. Raises ``BadUsage``
    where scores and ranks differ in shape. McCullagh 1980, doi:10.1111/j.2517-6161.1980.tb01109.x.

    >>> import torch
    >>> theta = torch.tensor([-1.0, 1.0])
    >>> ranks = torch.arange(3)
    >>> round(float((-cumulative_link_loss(torch.zeros(3), ranks, theta, reduction="none")).exp().sum()), 6)
    1.0
    """
    same_shape(input, target)
    input, thresholds = full_precision(input, thresholds)
    thresholds = thresholds.to(input.dtype)
    edge, end = thresholds.new_full((1,), torch.inf), thresholds.new_zeros(1)
    gaps = torch.cat([end, torch.log(-torch.expm1(thresholds[:-1] - thresholds[1:])), end])
    table = torch.stack([torch.cat([-edge, thresholds]), torch.cat([thresholds, edge]), gaps], 1)
    lower, upper, gap = F.embedding(target, table).unbind(-1)
    losses = -F.logsigmoid(upper - input) - F.logsigmoid(input - lower) - gap
    return reduce(losses, reduction)


CumulativeLinkLoss = as_module(cumulative_link_loss, "CumulativeLinkLoss")

SPEC = LossSpec(
    name="cumulative_link",
    title="cumulative logit (proportional odds)",
    also=("ordinal", "proportional odds"),
    family="classification",
    task="ordinal",
    formula=r"-\ln\left[\sigma(\theta_y-s)-\sigma(\theta_{y-1}-s)\right]",
    input_space="scores",
    function=cumulative_link_loss,
    module=CumulativeLinkLoss,
    arguments=(
        Argument("input", "scores"),
        Argument("target", "ordinal-index"),
        Argument("thresholds", "thresholds"),
    ),
    sizes={"C": 5},
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of thresholds far apart",
    unit="nats",
    elicits="cumulative probabilities P(y ≤ k), as far as thresholds allow",
    claims=(
        Claim("convex"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", 1.0, why="σ(s - θ_y) - σ(θ_{y-1} - s)"),
        Claim("smooth", 0.5, why="two slopes σ(1 - σ), both ¼ where thresholds coincide"),
    ),
    denominator="number of samples",
    chance=class_chance,
    floor=zero_floor,
    normaliser=log_classes,
    exceptions={
        "chance": "of learnt thresholds; with frozen ones a constant score does worse",
        "floor": "of learnt thresholds; frozen ones bound the probability of an inner class",
    },
    references=("https://doi.org/10.1111/j.2517-6161.1980.tb01109.x",),
)
