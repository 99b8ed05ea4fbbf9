"""Squared earth mover's distance of ordered classes: Σ_k (F_p(k) - F_t(k))² of cumulative probabilities.

Far misses cost more than near ones, unlike cross-entropy. For a class as target it is the ranked probability score,
strictly proper: the minimiser is the class distribution. For a distribution as target (ratings by many people) it is
0 where both agree. Bounded by C - 1; not convex in the scores; the gradient vanishes at a certainly wrong prediction.
The best constant is the mean distribution and costs Σ_k F(k)(1 - F(k)) for classes. Authors also divide by C or take
the root; both change the value and the root the propriety too.
"""

import math

import numpy as np
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.ordinal import exceeded, tail_rates
from losscope.losses.classification.true_class import over_classes
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "SquaredEMDLoss", "squared_emd_loss"]


def squared_emd_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Σ_k (F_p(k) - F_t(k))² of scores ``input`` [N, C, …], whose softmax is p, over the classes in order.

    ``target`` [N, …] holds classes, or [N, C, …] distributions over them. For classes the smaller tail is summed, so
    nothing cancels near 0. ``reduction`` "none" gives [N, …]. float16 and bfloat16 are computed and returned in
    float32. Raises ``BadUsage`` where distributions have another shape. Hou, Yu & Samaras 2016, arXiv:1611.05916;
    ranked probability score: Epstein 1969.

    >>> import torch
    >>> float(squared_emd_loss(torch.zeros(1, 4), torch.tensor([0])))  # (¾)² + (½)² + (¼)²
    0.875
    """
    (input,) = full_precision(input)
    axis = min(1, input.dim() - 1)
    p = input.softmax(axis)
    if target.is_floating_point():
        same_shape(input, target)
        return reduce((p - target.to(p.dtype)).cumsum(axis).square().sum(axis), reduction)
    levels = p.shape[axis] - 1
    head = p.cumsum(axis).narrow(axis, 0, levels)
    tail = p.flip(axis).cumsum(axis).flip(axis).narrow(axis, 1, levels)
    above = exceeded(target, head)
    return reduce((above * head + (1 - above) * tail).square().sum(axis), reduction)


SquaredEMDLoss = as_module(squared_emd_loss, "SquaredEMDLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    known = tail_rates(stats, options)
    if known is not None:
        rates, tail = known
        greater = np.tri(len(rates), len(rates) - 1, -1)
        return over_classes(rates, np.square(greater - tail).sum(1), stats)
    if options.get("target") != "distribution" or len(stats.sample.rows) == 0:
        return None
    cumulative = stats.sample.rows.cumsum(1)
    losses = np.square(cumulative - cumulative.mean(0)).sum(1)
    return Estimate(float(losses.mean()), of_rows(losses, stats))


SPEC = LossSpec(
    name="squared_emd",
    title="squared earth mover's distance (ranked probability score)",
    also=("RPS", "ranked probability score"),
    family="classification",
    task="ordinal",
    formula=r"\sum_k\Bigl(\sum_{j\le k}p_j-t_j\Bigr)^2",
    input_space="logits",
    function=squared_emd_loss,
    module=SquaredEMDLoss,
    arguments=(Argument("input", "logits"), Argument("target", "ordinal-index")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    elicits="probability",
    claims=(
        Claim("strictly-proper"),
        Claim("convex", holds=False, why="convex in the probabilities, not in the scores"),
        Claim("shift-invariant"),
        Claim("calibrated"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of samples; classes are summed",
    chance=_chance,
    floor=zero_floor,
    normaliser=lambda options: (
        (options["num_classes"] - 1 / options["num_classes"]) / 6
        if options.get("num_classes", 0) > 1
        else None
    ),
    references=("https://arxiv.org/abs/1611.05916",),
)
