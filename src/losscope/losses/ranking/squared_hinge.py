"""Squared hinge loss max(0, m - s)², also of a margin on distances (the far pairs of a contrastive loss).

With labels ±1 the minimiser of the expected max(0, 1 - y·s)² is s = 2p - 1: unlike the hinge it does elicit the
probability. At **chance** it is 1 - (mean label)² = 4p(1-p), at most 1. Outliers cost the square of their distance.
"""

import math

import numpy as np
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.differences import square_of
from losscope.losses.graph.margins import hinge_argument, inner_parts
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "SquaredHingeLoss", "squared_hinge_loss"]


def squared_hinge_loss(
    input: Tensor, target: Tensor, *, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - target·input)² for scores and labels ±1 of one shape.

    >>> import torch
    >>> squared_hinge_loss(torch.tensor([0.5, 3.0, 3.0]), torch.tensor([1.0, 1.0, -1.0]), reduction="none").tolist()
    [0.25, 0.0, 16.0]
    """
    same_shape(input, target)
    input, target = full_precision(input, target)
    return reduce((margin - target * input).relu().square(), reduction)


SquaredHingeLoss = as_module(squared_hinge_loss, "SquaredHingeLoss")


def _match(part: Part) -> Reading | None:
    inner = square_of(part.node)
    argument = hinge_argument(inner) if inner is not None else None
    if argument is None:
        return None
    parts, constant = inner_parts(argument)
    if len(parts) != 1 or not (constant or parts[0].scale < 0):
        return None
    score = parts[0].node
    return Reading(prediction=score, tensor=output(score))


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """m²(1 - (mean label)²) for labels ±1: the score m·mean in each column."""
    if stats.columns.weight <= 0:
        return None
    squared_margin = float(options.get("margin", 1.0)) ** 2
    mean = stats.columns.mean
    losses = squared_margin * np.square(1 - stats.sample.rows * mean).mean(1)
    return Estimate(float(squared_margin * (1 - np.square(mean)).mean()), of_rows(losses, stats))


def _gradient(scores: Tensor, target: Tensor, options: Options) -> Tensor:
    """-2y max(0, m - ys)."""
    return -2 * target * (float(options.get("margin", 1.0)) - target * scores).relu()


SPEC = LossSpec(
    name="squared_hinge",
    title="squared hinge loss",
    family="ranking",
    task="binary",
    formula=r"\max(0,\,1-y s)^2",
    input_space="scores",
    function=squared_hinge_loss,
    module=SquaredHingeLoss,
    arguments=(Argument("input", "scores"), Argument("target", "sign-label")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where every score is beyond the margin on its side",
    elicits="mean",
    claims=(Claim("convex"), Claim("smooth", 2.0), Claim("calibrated"), Claim("permutation-equivariant")),
    gradient=_gradient,
    chance=_chance,
    floor=zero_floor,
    signatures=(Signature(("Pow", "Mul"), _match),),
    references=("https://www.jmlr.org/papers/v2/crammer01a.html",),
    examples=(
        Example("F.relu(1 - g * x).pow(2).mean()", "(1 - g * x).clamp(min=0).square().mean()"),
        Example("(1 - x).clamp(min=0).square().sum()", "F.relu(1 - x).pow(2).sum()", "sum"),
    ),
    twins=(Twin("F.relu(x).pow(2).mean()", "mean_square"), Twin("F.relu(1 - g * x).mean()", "hinge")),
)
