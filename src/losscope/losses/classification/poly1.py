"""Poly-1 loss -ln p_y + ε(1 - p_y): cross-entropy with its first polynomial coefficient changed.

In powers of 1 - p_y cross-entropy is Σ (1 - p_y)^j / j; Poly-1 makes the first coefficient 1 + ε. ε > 0 pulls harder
on samples that are already right, ε < 0 less (ε ≥ -1). Convex in the scores for -1 ≤ ε ≤ 1, which the paper does not
say: the Hessian is at least (1 - ε(1 - 2p_y))·Cov ≥ 0. Not proper for ε ≠ 0: the minimiser of the expected loss is
p_k = q_k/(λ - εq_k), sharper than q for ε > 0, in the same order. The value is not in nats, and exceeds
cross-entropy by at most ε: chance level and zero are its own.
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

__all__ = ["SPEC", "Poly1Loss", "poly1_loss"]


def poly1_loss(
    input: Tensor, target: Tensor, *, epsilon: float = 1.0, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """Poly-1 cross-entropy -ln p_y + ε(1 - p_y) of scores ``input`` [N, C, …] and classes ``target`` [N, …].

    ``epsilon`` ε ≥ -1. Elements with target ``ignore_index`` do not count. float16 and bfloat16 are computed and
    returned in float32. Leng et al., PolyLoss, ICLR 2022, arXiv:2204.12511.

    >>> import torch
    >>> float(poly1_loss(torch.zeros(1, 4), torch.tensor([2])))  # ln 4 + 3/4
    2.136294364929199
    """
    _, log_p_y = class_log_probabilities(input, target, ignore_index)
    losses = -log_p_y + epsilon * missing_probability(log_p_y)
    return reduce_labelled(losses, target, ignore_index, reduction)


Poly1Loss = as_module(poly1_loss, "Poly1Loss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    rates = class_rates(stats, options)
    if rates is None:
        return None
    epsilon = float(options.get("epsilon", 1.0))
    p = tilted_prediction(rates, epsilon)
    return over_classes(rates, -np.log(np.where(p > 0, p, 1)) + epsilon * (1 - p), stats)


def _slope(log_p_y: Tensor, options: Options) -> Tensor:
    return -1 - options.get("epsilon", 1.0) * log_p_y.exp()


def _bend(log_p_y: Tensor, options: Options) -> Tensor:
    return -options.get("epsilon", 1.0) * torch.exp(log_p_y)


SPEC = LossSpec(
    name="poly1",
    title="Poly-1 cross-entropy",
    family="classification",
    task="multi-class",
    formula=r"-\ln p_y+\epsilon(1-p_y)",
    input_space="logits",
    function=poly1_loss,
    module=Poly1Loss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"epsilon": -0.5}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    elicits="q/(λ - εq), sharper than the class probabilities q for ε > 0",
    claims=(
        Claim("convex", why="for -1 ≤ ε ≤ 1"),
        Claim("calibrated"),
        Claim("strictly-proper", holds=False, why="proper only for ε = 0"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", math.sqrt(2), why="(1 + ε p_y)·‖p - e_y‖₂ ≤ √2 (1 + ε p_y)(1 - p_y), for ε ≤ 1"),
    ),
    gradient=gradient_of(_slope),
    logit_hessian=hessian_of(_slope, _bend),
    denominator="number of targets that are not ignored",
    chance=_chance,
    floor=zero_floor,
    normaliser=lambda options: (
        math.log(options["num_classes"]) + options.get("epsilon", 1.0) * (1 - 1 / options["num_classes"])
        if options.get("num_classes", 0) > 1
        else None
    ),
    references=("https://arxiv.org/abs/2204.12511",),
)
