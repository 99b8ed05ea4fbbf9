"""Absolute error |ŷ - y|, which elicits the median.

PyTorch: ``F.l1_loss``, which autograd keeps as the absolute value of a difference.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.differences import residual
from losscope.losses.graph.part import Part
from losscope.losses.graph.residuals import of_fused, of_residual
from losscope.losses.regression.location import median_chance, zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _absolute(part: Part) -> Reading | None:
    found = residual(part.node.inputs[0])
    return None if found is None else of_residual(found)


def _fused(part: Part) -> Reading | None:
    return of_fused(part.node)


SPEC = LossSpec(
    name="l1",
    title="absolute error",
    also=("MAE", "mean absolute error"),
    family="regression",
    task="regression",
    formula=r"|\hat y-y|",
    input_space="values",
    function=F.l1_loss,
    module=torch.nn.L1Loss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="median",
    claims=(
        Claim("convex"),
        Claim("lipschitz", 1.0),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: (input - target).sign(),
    chance=median_chance,
    floor=zero_floor,
    exceptions={
        "broadcasting": "torch broadcasts, with a warning",
        "empty-batch": "as PyTorch does everywhere",
    },
    signatures=(Signature(("Abs",), _absolute), Signature(("L1Loss",), _fused)),
    references=("https://doi.org/10.1198/016214506000001437",),
    examples=(
        Example("F.l1_loss(x, t)", "(x - t).abs().mean()"),
        Example("(t - x).abs().mean()", "F.l1_loss(x, t)"),
        Example("F.l1_loss(x, t, reduction='sum')", "(x - t).abs().sum()", "sum"),
        Example("F.l1_loss(x, t, reduction='none').mean()", "(x - t).abs().mean()"),
    ),
    twins=(Twin("x.abs().mean()", "mean_absolute"), Twin("(x * t).abs().mean()", "mean_absolute")),
)
