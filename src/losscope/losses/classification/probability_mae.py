"""Absolute error between class probabilities and the one-hot target: Σ_k |p_k - t_k| = 2(1 - p_y).

The classical loss that is robust to label noise: summed over all labels it is the constant 2(C - 1), so uniformly
flipped labels do not move its minimiser. The price: where the model is certainly wrong the gradient vanishes, and
with many classes it starts at a plateau. Its minimiser puts everything on the likeliest class, so the outputs are no
probabilities. Not convex in the scores. Half of it, 1 - p_y, is the expected 0-1 error of a label drawn from p.
"""

import math

import numpy as np
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
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

__all__ = ["SPEC", "ProbabilityMAELoss", "probability_mae_loss"]


def probability_mae_loss(
    input: Tensor, target: Tensor, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """2(1 - p_y) of scores ``input`` [N, C, …] and classes ``target`` [N, …]; p is their softmax.

    Elements with target ``ignore_index`` do not count. float16 and bfloat16 are computed and returned in float32.
    Ghosh et al., AAAI 2017, arXiv:1712.09482.

    >>> import torch
    >>> float(probability_mae_loss(torch.zeros(1, 4), torch.tensor([2])))
    1.5
    """
    _, log_p_y = class_log_probabilities(input, target, ignore_index)
    return reduce_labelled(2 * missing_probability(log_p_y), target, ignore_index, reduction)


ProbabilityMAELoss = as_module(probability_mae_loss, "ProbabilityMAELoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Twice the error rate of always saying the commonest class."""
    rates = class_rates(stats, options)
    if rates is None:
        return None
    return over_classes(rates, 2.0 * (np.arange(len(rates)) != rates.argmax()), stats)


def _slope(log_p_y: Tensor, options: Options) -> Tensor:
    del options
    return -2 * log_p_y.exp()


SPEC = LossSpec(
    name="probability_mae",
    title="absolute error of probabilities",
    family="classification",
    task="multi-class",
    formula=r"2(1-p_y)",
    input_space="logits",
    function=probability_mae_loss,
    module=ProbabilityMAELoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"reduction": "sum"},),
    range=(0.0, 2.0),
    attained="in the limit of an infinite margin",
    elicits="mode",
    claims=(
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the minimiser is certainty of the likeliest class"),
        Claim("shift-invariant"),
        Claim("calibrated"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", 1 / math.sqrt(2), why="2 p_y ‖p - e_y‖₂ ≤ 2√2 p_y (1 - p_y)"),
    ),
    gradient=gradient_of(_slope),
    logit_hessian=hessian_of(_slope, _slope),
    denominator="number of targets that are not ignored",
    chance=_chance,
    floor=zero_floor,
    normaliser=lambda options: (
        2 * (1 - 1 / options["num_classes"]) if options.get("num_classes", 0) > 1 else None
    ),
    references=("https://arxiv.org/abs/1712.09482",),
)
