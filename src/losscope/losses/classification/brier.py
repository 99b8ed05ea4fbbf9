"""Brier score of class probabilities: Σ_k (p_k - t_k)², p = softmax of the scores.

Strictly proper like cross-entropy, but bounded by 2: one wrong certain prediction cannot ruin the mean, and the
gradient vanishes there. Not convex in the scores (convex in p). The best constant is the label distribution q and costs
1 - Σq². Traps: the binary score (p - t)² is half of the two-class one, and scikit-learn's ``brier_score_loss`` is the
binary one for two classes; ``F.mse_loss(p, one_hot)`` is this divided by C.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.true_class import (
    class_log_probabilities,
    class_rates,
    missing_probability,
    over_classes,
    reduce_labelled,
)
from losscope.losses.module import as_module
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "BrierLoss", "brier_loss"]


def brier_loss(input: Tensor, target: Tensor, *, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """Σ_k (softmax(z)_k - t_k)² of scores ``input`` [N, C, …] and classes ``target`` [N, …].

    Computed as (1 - p_y)² + Σ_{k≠y} p_k², which does not cancel near 0. Elements with target ``ignore_index`` do not
    count. float16 and bfloat16 are computed and returned in float32. Brier 1950.

    >>> import torch
    >>> float(brier_loss(torch.zeros(1, 4), torch.tensor([2])))  # (3/4)² + 3/16
    0.75
    """
    log_p, log_p_y = class_log_probabilities(input, target, ignore_index)
    axis = min(1, input.dim() - 1)
    classes = torch.arange(log_p.shape[axis], device=log_p.device).view(-1, *[1] * (log_p.dim() - axis - 1))
    others = (2 * log_p).exp().masked_fill(classes == target.unsqueeze(axis), 0.0)
    losses = missing_probability(log_p_y).square() + others.sum(axis)
    return reduce_labelled(losses, target, ignore_index, reduction)


BrierLoss = as_module(brier_loss, "BrierLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """1 - Σq², the Gini impurity."""
    q = class_rates(stats, options)
    return None if q is None else over_classes(q, np.square(q).sum() + 1 - 2 * q, stats)


def _gradient(logits: Tensor, target: Tensor, options: Options) -> Tensor:
    """2 (diag p - ppᵀ)(p - t)."""
    del options
    p = logits.softmax(1)
    pull = 2 * p * (p - F.one_hot(target, logits.shape[1]))
    return pull - p * pull.sum(1, keepdim=True)


SPEC = LossSpec(
    name="brier",
    title="Brier score",
    family="classification",
    task="multi-class",
    formula=r"\sum_k(p_k-t_k)^2",
    input_space="logits",
    function=brier_loss,
    module=BrierLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"reduction": "sum"},),
    range=(0.0, 2.0),
    attained="in the limit of an infinite margin",
    elicits="probability",
    claims=(
        Claim("strictly-proper"),
        Claim("calibrated"),
        Claim("convex", holds=False, why="convex in the probabilities, not in the scores"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim(
            "lipschitz",
            math.sqrt(2) * 16 / 27,
            why="‖2(diag p - ppᵀ)(p - t)‖₂, largest at p_y = 1/3 with one rival",
        ),
    ),
    gradient=_gradient,
    denominator="number of targets that are not ignored",
    chance=_chance,
    floor=zero_floor,
    normaliser=lambda options: 1 - 1 / options["num_classes"] if options.get("num_classes", 0) > 1 else None,
    references=(
        "https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
        "https://doi.org/10.1198/016214506000001437",
    ),
)
