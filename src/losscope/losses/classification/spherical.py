"""Spherical score as a loss: 1 - p_y / ‖p‖₂, p = softmax of the scores.

Strictly proper and bounded by 1; with logarithmic and Brier the third classical proper score. Geometrically the cosine
distance of p and the one-hot target. Not convex in the scores; the gradient vanishes at a certainly wrong prediction.
The best constant is the label distribution q and costs 1 - ‖q‖₂.
"""

import math

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.true_class import (
    class_log_probabilities,
    class_rates,
    over_classes,
    reduce_labelled,
)
from losscope.losses.module import as_module
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "SphericalLoss", "spherical_loss"]


def spherical_loss(
    input: Tensor, target: Tensor, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """1 - p_y/‖p‖₂ of scores ``input`` [N, C, …] and classes ``target`` [N, …]; p is their softmax.

    Computed as -expm1(ln p_y - ½ ln Σp²). Elements with target ``ignore_index`` do not count. float16 and bfloat16
    are computed and returned in float32. Gneiting & Raftery 2007, section 3.2.

    >>> import torch
    >>> float(spherical_loss(torch.zeros(1, 4), torch.tensor([2])))  # 1 - ¼/½
    0.5
    """
    log_p, log_p_y = class_log_probabilities(input, target, ignore_index)
    log_cosine = log_p_y - 0.5 * (2 * log_p).logsumexp(min(1, input.dim() - 1))
    return reduce_labelled(-torch.expm1(log_cosine), target, ignore_index, reduction)


SphericalLoss = as_module(spherical_loss, "SphericalLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    q = class_rates(stats, options)
    return None if q is None else over_classes(q, 1 - q / np.linalg.norm(q), stats)


SPEC = LossSpec(
    name="spherical",
    title="spherical score",
    family="classification",
    task="multi-class",
    formula=r"1-\frac{p_y}{\lVert p\rVert_2}",
    input_space="logits",
    function=spherical_loss,
    module=SphericalLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"reduction": "sum"},),
    range=(0.0, 1.0),
    attained="in the limit of an infinite margin",
    elicits="probability",
    claims=(
        Claim("strictly-proper"),
        Claim("calibrated"),
        Claim("convex", holds=False),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim(
            "lipschitz",
            2 * math.sqrt(2) / (3 * math.sqrt(3)),
            why="√2 sin²θ cos θ with one rival, tan θ = p_k/p_y",
        ),
    ),
    denominator="number of targets that are not ignored",
    chance=_chance,
    floor=zero_floor,
    normaliser=lambda options: (
        1 - options["num_classes"] ** -0.5 if options.get("num_classes", 0) > 1 else None
    ),
    references=("https://doi.org/10.1198/016214506000001437",),
)
