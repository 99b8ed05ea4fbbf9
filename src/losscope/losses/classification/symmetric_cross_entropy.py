"""Symmetric cross-entropy α·CE(t, p) + β·CE(p, t): for noisy labels.

The reversed part -Σ p_k ln t_k needs a value A < 0 in place of ln 0 and is then -A(1 - p_y), an absolute error of
probabilities. So the loss is α(-ln p_y) - βA(1 - p_y): Poly-1 with ε = -βA/α, and p_k = q_k/(λ - εq_k) minimises the
expected loss. Convex only while β|A| ≤ α. The authors' text writes A = -4, their program has ln 1e-4 = -9.21: a
published (α, β) only means something together with A.
"""

import math

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.tilted import tilted_prediction
from losscope.losses.classification.true_class import (
    class_log_probabilities,
    class_rates,
    gradient_of,
    hessian_of,
    missing_probability,
    over_classes,
    reduce_labelled,
)
from losscope.losses.module import as_module
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "SymmetricCrossEntropyLoss", "symmetric_cross_entropy_loss"]


def symmetric_cross_entropy_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-α ln p_y - βA(1 - p_y) of scores ``input`` [N, C, …] and classes ``target`` [N, …]; p is their softmax.

    ``alpha`` α > 0 and ``beta`` β ≥ 0 weigh the two directions, ``log_zero`` A < 0 stands for ln 0. Elements with
    target ``ignore_index`` do not count. float16 and bfloat16 are computed and returned in float32. Wang et al.,
    ICCV 2019, arXiv:1908.06112.

    >>> import torch
    >>> round(float(symmetric_cross_entropy_loss(torch.zeros(1, 4), torch.tensor([2]))), 4)  # 0.1 ln 4 + 3
    3.1386
    """
    _, log_p_y = class_log_probabilities(input, target, ignore_index)
    losses = -alpha * log_p_y - beta * log_zero * missing_probability(log_p_y)
    return reduce_labelled(losses, target, ignore_index, reduction)


SymmetricCrossEntropyLoss = as_module(symmetric_cross_entropy_loss, "SymmetricCrossEntropyLoss")


def _coefficients(options: Options) -> tuple[float, float]:
    """Of -ln p_y and of 1 - p_y."""
    return options.get("alpha", 0.1), -options.get("beta", 1.0) * options.get("log_zero", -4.0)


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    rates = class_rates(stats, options)
    alpha, linear = _coefficients(options)
    if rates is None or alpha <= 0:
        return None
    p = tilted_prediction(rates, linear / alpha)
    return over_classes(rates, -alpha * np.log(np.where(p > 0, p, 1)) + linear * (1 - p), stats)


def _slope(log_p_y: Tensor, options: Options) -> Tensor:
    alpha, linear = _coefficients(options)
    return -alpha - linear * torch.exp(log_p_y)


def _bend(log_p_y: Tensor, options: Options) -> Tensor:
    return -_coefficients(options)[1] * torch.exp(log_p_y)


def _normaliser(options: Options) -> float | None:
    """The loss of equal probabilities."""
    classes = options.get("num_classes", 0)
    alpha, linear = _coefficients(options)
    return alpha * math.log(classes) + linear * (1 - 1 / classes) if classes > 1 else None


SPEC = LossSpec(
    name="symmetric_cross_entropy",
    title="symmetric cross-entropy",
    also=("SCE",),
    family="classification",
    task="multi-class",
    formula=r"-\alpha\ln p_y-\beta A(1-p_y)",
    input_space="logits",
    function=symmetric_cross_entropy_loss,
    module=SymmetricCrossEntropyLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"log_zero": math.log(1e-4)}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    elicits="q/(λ - εq) with ε = -βA/α, sharper than the class probabilities q",
    claims=(
        Claim("convex", holds=False, why="convex only while β|A| ≤ α"),
        Claim("calibrated"),
        Claim("strictly-proper", holds=False),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim(
            "lipschitz",
            math.sqrt(2) * 4.1**2 / 16,
            why="√2 (α + cp)(1 - p) ≤ √2 (α + c)²/4c with c = β|A| ≥ α",
        ),
    ),
    gradient=gradient_of(_slope),
    logit_hessian=hessian_of(_slope, _bend),
    denominator="number of targets that are not ignored",
    chance=_chance,
    floor=zero_floor,
    normaliser=_normaliser,
    references=("https://arxiv.org/abs/1908.06112",),
)
