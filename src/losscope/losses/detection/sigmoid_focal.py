"""Binary focal loss from logits: t α (1 - p)^γ (-ln p) + (1 - t) (1 - α) p^γ (-ln(1 - p)) per element, p = σ(x).

The loss of dense detectors, one binary decision per class and anchor. α weighs the ones (0.25 is the authors' value;
γ already takes most weight from the many zeros), ``alpha=None`` neither. Linear in the target, so that soft labels
are the mean of both. 0 in the limit of infinite margins, unbounded; not convex, not proper, but the sign of x follows
the likelier label where α = ½. torchvision's ``sigmoid_focal_loss`` is the same for labels of 0 and 1; in float16 it
is NaN or infinite at large logits, here all is computed in logarithms and in float32. Trap: "mean" over all elements
makes the loss tiny; detectors divide the sum by the number of positive anchors (``detection_sum``). Source:
arXiv:1708.02002.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.detection.focal_chance import LARGEST_SLOPE, binary_chance
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "SigmoidFocalLoss", "sigmoid_focal_loss"]


def sigmoid_focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    """Binary focal loss of logits ``input`` against ``target`` in [0, 1], of the same shape.

    ``alpha`` in [0, 1] weighs ones, 1 - α zeros; ``gamma`` ≥ 0. Value and gradient are finite at any finite logits.
    float16 and bfloat16 are computed and returned in float32. Raises ``BadUsage`` where the shapes differ.

    >>> import torch
    >>> float(sigmoid_focal_loss(torch.zeros(2), torch.tensor([1.0, 0.0]), alpha=None) / math.log(2))
    0.25
    """
    require_not_negative(gamma=gamma)
    same_shape(input, target)
    input, target = full_precision(input, target)
    t = target.to(input.dtype)
    log_p, log_q = F.logsigmoid(input), F.logsigmoid(-input)
    ones, zeros = (gamma * log_q).exp() * -log_p, (gamma * log_p).exp() * -log_q
    if alpha is not None:
        ones, zeros = alpha * ones, (1 - alpha) * zeros
    return reduce(t * ones + (1 - t) * zeros, reduction)


SigmoidFocalLoss = as_module(sigmoid_focal_loss, "SigmoidFocalLoss")


def _gradient(logits: Tensor, target: Tensor, options: Options) -> Tensor:
    """Of a one: (1 - p)^γ (γ p ln p - (1 - p)); of a zero the same with p and 1 - p exchanged, and the other sign."""
    gamma, alpha = float(options.get("gamma", 2.0)), options.get("alpha", 0.25)
    p, q = logits.sigmoid(), (-logits).sigmoid()
    ones = q**gamma * (gamma * p * F.logsigmoid(logits) - q)
    zeros = p**gamma * (p - gamma * q * F.logsigmoid(-logits))
    if alpha is not None:
        ones, zeros = alpha * ones, (1 - alpha) * zeros
    return target * ones + (1 - target) * zeros


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    return binary_chance(stats, {"alpha": 0.25, **options})


SPEC = LossSpec(
    name="sigmoid_focal",
    title="binary focal loss",
    family="detection",
    task="multi-label",
    formula=r"-\alpha t(1-p)^\gamma\ln p-(1-\alpha)(1-t)p^\gamma\ln(1-p)",
    input_space="logits",
    function=sigmoid_focal_loss,
    module=SigmoidFocalLoss,
    arguments=(Argument("input", "binary-logits"), Argument("target", "binary")),
    variants=({"alpha": 0.5}, {"gamma": 0.5}, {"gamma": 0.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of infinite margins",
    elicits="a probability distorted by α and γ",
    claims=(
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
        Claim(
            "strictly-proper",
            holds=False,
            why="the minimiser is flatter than the probability, and shifted by α",
        ),
        Claim("lipschitz", 0.75 * LARGEST_SLOPE, why="γ = 2, of a zero at p = 0.942"),
    ),
    gradient=_gradient,
    chance=_chance,
    floor=zero_floor,
    references=("https://arxiv.org/abs/1708.02002",),
)
