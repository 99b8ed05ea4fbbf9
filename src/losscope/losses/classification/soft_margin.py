"""Soft margin ln(1 + e^(-y·s)) for labels y = ±1: the logistic loss. PyTorch: ``F.soft_margin_loss``.

The same as ``binary_cross_entropy_with_logits`` with t = (y + 1)/2, so σ(s) is a probability and ln 2 is the loss of
s = 0. Trap: labels of 0 and 1 are accepted silently; a label of 0 costs ln 2 whatever the score. PyTorch's form
overflows for y·s below -88 in float32 and below -11 in float16; ``softplus(-y * s)`` does not.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.entropy import binary_entropy
from losscope.losses.graph.constants import is_sign
from losscope.losses.graph.fused import fused
from losscope.losses.graph.part import Part
from losscope.losses.graph.steps import constant_factor
from losscope.losses.graph.values import output
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Entropy of the share of positive labels, column by column."""
    del options
    moments = stats.columns
    if moments.weight <= 0:
        return None
    rate = np.clip((moments.mean + 1) / 2, 0, 1)
    inner = np.clip(rate, 1e-12, 1 - 1e-12)
    share = (stats.sample.rows + 1) / 2
    losses = -(share * np.log(inner) + (1 - share) * np.log1p(-inner)).mean(1)
    return Estimate(float(binary_entropy(rate).mean()), of_rows(losses, stats))


def _hand_written(part: Part) -> Reading | None:
    """softplus(-y·s), or logσ(y·s) to be maximised, with a constant y of signs."""
    node = part.node
    inner = node.inputs[0]
    sign = 1.0
    if inner is None or part.weights or (node.op == "Softplus" and node.option("beta", 1) != 1):
        return None
    if inner.op == "Neg" and inner.inputs[0] is not None:
        inner, sign = inner.inputs[0], -1.0
    found = constant_factor(inner) if inner.op == "Mul" else None
    if found is None:
        return None
    position, signs = found
    if isinstance(signs, int | float) or not is_sign(signs):
        return None
    scores = inner.inputs[position]
    expected = -1.0 if node.op == "Softplus" else 1.0
    return Reading(
        prediction=scores,
        tensor=output(scores) if scores is not None else None,
        target=signs.expand(node.shape) * (sign * expected),
        options={"target": "real"},
        sign=expected * -1.0,
    )


SPEC = LossSpec(
    name="soft_margin",
    title="soft margin loss",
    family="classification",
    task="binary",
    formula=r"\ln(1+e^{-y s})",
    input_space="scores",
    function=F.soft_margin_loss,
    module=torch.nn.SoftMarginLoss,
    arguments=(Argument("input", "scores"), Argument("target", "sign-label")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    unit="nats",
    elicits="probability",
    claims=(
        Claim("convex"),
        Claim("calibrated"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", 1.0, why="σ(-ys) per element"),
        Claim("smooth", 0.25, why="σ(1 - σ) per element"),
    ),
    gradient=lambda input, target, options: -target * torch.sigmoid(-target * input),
    chance=_chance,
    floor=zero_floor,
    normaliser=lambda _: math.log(2),
    signatures=(
        fused("SoftMarginLoss", lambda _: {"target": "real"}),
        Signature(("Softplus", "LogSigmoid"), _hand_written),
    ),
    exceptions={
        "empty-batch": "as PyTorch does everywhere",
        "finite": "torch forms e^(-y·s), which overflows below y·s = -88 in float32",
        "accumulation": "torch forms e^(-y·s), which overflows below y·s = -11 in float16",
    },
    references=("https://docs.pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html",),
    examples=(
        Example("F.soft_margin_loss(x, g)", "F.softplus(-g * x).mean()"),
        Example("F.softplus(-g * x).mean()", "F.soft_margin_loss(x, g)"),
        Example("-F.logsigmoid(g * x).mean()", "F.soft_margin_loss(x, g)"),
    ),
    twins=(Twin("F.softplus(-t * x).mean()", "logistic_score"),),
)
