"""Asymmetric loss (ASL) for many labels: focal weights γ₊, γ₋ apart for positives and negatives, and a shift m.

-t(1-p)^γ₊ ln p - (1-t) p_m^γ₋ ln(1 - p_m) with p_m = max(p - m, 0): negatives with p ≤ m cost nothing, hard negatives
(often wrong labels) are not pushed down, easy ones hardly count. Not convex and not proper: outputs are too low or too
high to be read as probabilities and must be calibrated afterwards. The value is far below ln 2 from the start (0.35 for
p = ½ and a positive, 0.023 for a negative), so a small value is no success. Widespread versions take the logarithm of a
clamped sigmoid, which is off or NaN in float16 and bfloat16; here everything is in log-sigmoids and float32.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.bernoulli import fitted_bernoulli_chance
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "AsymmetricLoss", "asymmetric_loss"]


def _positive(z: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^γ ln p."""
    return -torch.exp(gamma * F.logsigmoid(-z)) * F.logsigmoid(z)


def _negative(z: Tensor, gamma: float, margin: float) -> Tensor:
    """-p_m^γ ln(1 - p_m)."""
    if margin == 0:
        return -torch.exp(gamma * F.logsigmoid(z)) * F.logsigmoid(-z)
    shifted = torch.sigmoid(z) - margin
    counts = shifted > 0
    shifted = torch.where(counts, shifted, 0.5)  # the value there is 0, and so must the gradient be
    return torch.where(counts, -shifted.pow(gamma) * torch.log1p(-shifted), 0.0)


def asymmetric_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma_positive: float = 1.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
    reduction: str = "mean",
) -> Tensor:
    """ASL of logits ``input`` and ``target`` in [0, 1], of one shape, per element.

    ``gamma_positive`` γ₊ ≥ 0 and ``gamma_negative`` γ₋ ≥ 0 are the focal exponents, 0 ≤ ``margin`` m < 1 shifts the
    probability of negatives; all 0 is binary cross-entropy. float16 and bfloat16 are computed and returned in float32.
    The authors sum (``reduction="sum"``). Raises ``BadUsage`` where the shapes differ. Ridnik et al., ICCV 2021,
    arXiv:2009.14119.

    >>> import torch
    >>> round(float(asymmetric_loss(torch.zeros(1), torch.ones(1))), 4)  # ½ ln 2
    0.3466
    """
    require_not_negative(gamma_positive=gamma_positive, gamma_negative=gamma_negative)
    same_shape(input, target)
    (input,) = full_precision(input)
    target = target.to(input.dtype)
    positive, negative = _positive(input, gamma_positive), _negative(input, gamma_negative, margin)
    return reduce(target * positive + (1 - target) * negative, reduction)


AsymmetricLoss = as_module(asymmetric_loss, "AsymmetricLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    plus, minus = options.get("gamma_positive", 1.0), options.get("gamma_negative", 4.0)
    margin = options.get("margin", 0.05)

    def positive(z: np.ndarray) -> np.ndarray:
        return _positive(torch.from_numpy(z), plus).numpy()

    def negative(z: np.ndarray) -> np.ndarray:
        return _negative(torch.from_numpy(z), minus, margin).numpy()

    return fitted_bernoulli_chance(positive, negative, stats)


SPEC = LossSpec(
    name="asymmetric",
    title="asymmetric loss (ASL)",
    also=("ASL",),
    family="classification",
    task="multi-label",
    formula=r"-t(1-p)^{\gamma_+}\ln p-(1-t)p_m^{\gamma_-}\ln(1-p_m),\quad p_m=\max(p-m,0)",
    input_space="logits",
    function=asymmetric_loss,
    module=AsymmetricLoss,
    arguments=(Argument("input", "binary-logits"), Argument("target", "binary")),
    variants=(
        {"margin": 0.0},
        {"gamma_positive": 0.0, "gamma_negative": 2.0, "margin": 0.2},
        {"reduction": "sum"},
    ),
    range=(0.0, math.inf),
    attained="positives in the limit of an infinite score, negatives wherever p ≤ m",
    elicits="a probability distorted by γ₊, γ₋ and m",
    claims=(
        Claim("permutation-equivariant"),
        Claim("calibrated", holds=False, why="positives and negatives are weighted apart"),
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False),
    ),
    chance=_chance,
    floor=zero_floor,
    references=("https://arxiv.org/abs/2009.14119",),
)
