"""Bi-tempered logistic loss: a Bregman divergence with temperature t₁ of tempered-softmax probabilities with t₂.

With ln_t x = (x^(1-t) - 1)/(1 - t) and exp_t its inverse, p_k = exp_{t₂}(z_k - λ(z)) sums to 1 and one sample costs
-ln_{t₁} p_y - (1 - Σ_k p_k^(2-t₁))/(2 - t₁). t₁ = t₂ = 1 is cross-entropy, t₁ = 0 half the Brier score. t₁ < 1 bounds
the loss by 1/(1 - t₁) (outliers), t₂ > 1 gives p a heavy tail (label noise near the boundary). As a Bregman divergence
it is strictly proper *for the tempered probabilities*: the softmax of the same scores is sharper, so read outputs with
``tempered_softmax``. Not convex in the scores for t₂ > t₁.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.true_class import class_rates, over_classes, reduce_labelled
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "BiTemperedLogisticLoss", "bi_tempered_logistic_loss", "tempered_softmax"]

_STEPS = 6  # and two more: |Σp - 1| < 1e-12 for scores up to 1e6, 1 < t ≤ 4 and 5000 classes


def _log_tempered_softmax(input: Tensor, t: float, axis: int) -> Tensor:
    """ln p. With u = max z - z ≥ 0: p = (1 + (t-1)(μ + u))^(-1/(t-1)), μ ≥ 0 such that Σp = 1.

    g(μ) = (Σp)^-(t-1) - 1 rises and is concave (a power mean of affine functions), so Newton's method from 0 is
    monotone; two more differentiable steps at its root carry the exact first and second derivatives.
    """
    if t == 1:
        return input.log_softmax(axis)
    below = input.amax(axis, keepdim=True) - input
    shift = torch.zeros_like(below.narrow(axis, 0, 1))

    def step(shift: Tensor, below: Tensor) -> Tensor:
        log_base = torch.log1p((t - 1) * (shift + below))
        log_sum = (-log_base / (t - 1)).logsumexp(axis, keepdim=True)
        log_slope = (-log_base * t / (t - 1)).logsumexp(axis, keepdim=True)
        # Newton on (Σp)^-(t-1) - 1 = 0, whose derivative is (t-1)(Σp)^-t Σp^t
        return shift - torch.expm1(-(t - 1) * log_sum) / (t - 1) * torch.exp(t * log_sum - log_slope)

    for _ in range(_STEPS):
        shift = step(shift, below.detach())
    shift = shift.detach()
    for _ in range(2):
        shift = step(shift, below)
    return -torch.log1p((t - 1) * (shift + below)) / (t - 1)


def tempered_softmax(input: Tensor, temperature: float, dim: int = 1) -> Tensor:
    """Probabilities exp_t(z - λ(z)), t = ``temperature`` ≥ 1, that sum to 1 along ``dim``.

    >>> import torch
    >>> tempered_softmax(torch.zeros(1, 4), 2.0)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    (input,) = full_precision(input)
    return _log_tempered_softmax(input, temperature, dim).exp()


def bi_tempered_logistic_loss(
    input: Tensor,
    target: Tensor,
    *,
    t1: float = 0.8,
    t2: float = 1.2,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Bi-tempered logistic loss of scores ``input`` [N, C, …] and classes ``target`` [N, …].

    0 ≤ ``t1`` ≤ 1 ≤ ``t2``. Elements with target ``ignore_index`` do not count. float16 and bfloat16 are computed and
    returned in float32. Raises ``BadUsage`` for other temperatures. Amid et al., NeurIPS 2019, arXiv:1906.03361.

    >>> import torch
    >>> round(float(bi_tempered_logistic_loss(torch.zeros(1, 4), torch.tensor([2]), t1=0.0)), 4)  # half of Brier's ¾
    0.375
    """
    if not 0 <= t1 <= 1 <= t2:
        raise BadUsage("temperatures must satisfy 0 ≤ t1 ≤ 1 ≤ t2", seen=f"t1={t1}, t2={t2}")
    (input,) = full_precision(input)
    axis = min(1, input.dim() - 1)
    log_p = _log_tempered_softmax(input, t2, axis)
    log_p_y = -F.nll_loss(log_p, target, reduction="none", ignore_index=ignore_index)
    first = -log_p_y if t1 == 1 else -torch.expm1((1 - t1) * log_p_y) / (1 - t1)
    rest = -torch.expm1(((2 - t1) * log_p).logsumexp(axis)) / (2 - t1)
    return reduce_labelled(first - rest, target, ignore_index, reduction)


BiTemperedLogisticLoss = as_module(bi_tempered_logistic_loss, "BiTemperedLogisticLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Reached at p = q, whatever t₂: (1 - Σ q^(2-t₁)) / ((1 - t₁)(2 - t₁)), the Tsallis entropy of the labels."""
    q = class_rates(stats, options)
    if q is None:
        return None
    t = float(options.get("t1", 0.8))
    logs = np.log(np.where(q > 0, q, 1))
    first = -logs if t == 1 else -np.expm1((1 - t) * logs) / (1 - t)
    return over_classes(q, first - (1 - (q ** (2 - t)).sum()) / (2 - t), stats)


def _normaliser(options: Options) -> float | None:
    """The loss of equal probabilities."""
    classes, t = options.get("num_classes", 0), float(options.get("t1", 0.8))
    if classes <= 1:
        return None
    return math.log(classes) if t == 1 else (1 - classes ** (t - 1)) / ((1 - t) * (2 - t))


SPEC = LossSpec(
    name="bi_tempered_logistic",
    title="bi-tempered logistic loss",
    family="classification",
    task="multi-class",
    formula=r"-\ln_{t_1}p_y-\frac{1-\sum_kp_k^{2-t_1}}{2-t_1},\quad p_k=\exp_{t_2}(z_k-\lambda(z))",
    input_space="logits",
    function=bi_tempered_logistic_loss,
    module=BiTemperedLogisticLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"t1": 0.5}, {"t2": 2.0}, {"reduction": "sum"}),
    range=(0.0, 5.0),
    attained="in the limit of an infinite margin",
    elicits="probability, read by the tempered softmax",
    claims=(
        Claim("calibrated"),
        Claim(
            "strictly-proper",
            holds=False,
            why="strictly proper for the tempered softmax, not for the softmax",
        ),
        Claim("convex", holds=False, why="bounded for t1 < 1"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of targets that are not ignored",
    chance=_chance,
    floor=zero_floor,
    normaliser=_normaliser,
    references=("https://arxiv.org/abs/1906.03361",),
)
