"""Hinge loss max(0, m - s): a margin on scores, of signs times scores, or of a difference of scores.

Written with ``relu``, ``clamp(min=0)`` or ``maximum``. The binary form is max(0, 1 - y·s); a GAN's
discriminator uses it on real and on generated samples. At **chance** it is 2 min(p, 1-p) for a share p of positive
labels, at most 1, the value at s = 0. Its minimiser is the sign of the likelier class, so that scores are not
probabilities; samples beyond the margin have no gradient. Labels 0/1 instead of ±1 make it constant for half of the
data.
"""

import math

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.margins import hinge_argument, inner_parts
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "HingeLoss", "hinge_loss"]


def hinge_loss(input: Tensor, target: Tensor, *, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """max(0, margin - target·input) for scores and labels ±1 of one shape.

    Cortes and Vapnik 1995, doi:10.1007/BF00994018.

    >>> import torch
    >>> hinge_loss(torch.tensor([0.5, 3.0, 3.0]), torch.tensor([1.0, 1.0, -1.0]), reduction="none").tolist()
    [0.5, 0.0, 4.0]
    """
    same_shape(input, target)
    input, target = full_precision(input, target)
    return reduce((margin - target * input).relu(), reduction)


HingeLoss = as_module(hinge_loss, "HingeLoss")


def _match(part: Part) -> Reading | None:
    """A hinge of one score plus a constant."""
    argument = hinge_argument(part.node)
    if argument is None or not (part.means or part.sums or part.node.numel == 1):
        return None
    parts, constant = inner_parts(argument)
    if len(parts) != 1 or not (constant or parts[0].scale < 0):
        return None
    score = parts[0].node
    if score.op in ("Sub", "Add", "leaf"):
        return None
    target = parts[0].weights[0] if len(parts[0].weights) == 1 else None
    signs = target is not None and bool((target.abs() == 1).all())
    return Reading(
        prediction=score,
        tensor=output(score),
        target=target if signs else None,
        options={"target": "real"} if signs else {},
    )


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """m(1 - |mean label|) for labels ±1: the score ±m of the majority in each column."""
    if stats.columns.weight <= 0:
        return None
    majority = np.where(stats.columns.mean >= 0, 1.0, -1.0)
    margin = float(options.get("margin", 1.0))
    losses = margin * (1 - stats.sample.rows * majority).mean(1)
    return Estimate(float(margin * (1 - np.abs(stats.columns.mean)).mean()), of_rows(losses, stats))


def _gradient(scores: Tensor, target: Tensor, options: Options) -> Tensor:
    """-y inside the margin, else 0."""
    return torch.where(target * scores < float(options.get("margin", 1.0)), -target, 0.0)


SPEC = LossSpec(
    name="hinge",
    title="hinge loss",
    family="ranking",
    task="binary",
    formula=r"\max(0,\,1-y s)",
    input_space="scores",
    function=hinge_loss,
    module=HingeLoss,
    arguments=(Argument("input", "scores"), Argument("target", "sign-label")),
    variants=({"margin": 0.5}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where every score is beyond the margin on its side",
    elicits="mode",
    claims=(
        Claim("convex"),
        Claim("lipschitz", 1.0),
        Claim("calibrated"),
        Claim("strictly-proper", holds=False, why="scores are not probabilities"),
        Claim("permutation-equivariant"),
    ),
    gradient=_gradient,
    chance=_chance,
    floor=zero_floor,
    signatures=(Signature(("Relu", "ClampMin", "Clamp", "Maximum"), _match),),
    references=("https://doi.org/10.1007/BF00994018", "https://arxiv.org/abs/1705.02894"),
    examples=(
        Example("F.relu(1 - g * x).mean()", "(1 - g * x).clamp(min=0).mean()"),
        Example("(1 - x).clamp(min=0).mean()", "F.relu(1 - x).mean()"),
        Example("F.relu(1 + x).mean()", "(1 + x).clamp(min=0).mean()"),
        Example("torch.maximum(torch.zeros(()), 1 - g * x).mean()", "F.relu(1 - g * x).mean()"),
    ),
    twins=(
        Twin("x.relu().mean()", "unknown"),
        Twin("(1 - x).clamp(min=0, max=1).mean()", "unknown"),
        Twin("(1 - x).clamp(min=0.5).mean()", "unknown"),
    ),
)
