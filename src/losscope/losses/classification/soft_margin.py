"""Soft margin ln(1 + e^(-y·s)) for labels y = ±1: the logistic loss. PyTorch: ``F.soft_margin_loss``."""

import math

import numpy as np

from losscope.core.estimate import Estimate
from losscope.losses.classification.entropy import binary_entropy
from losscope.losses.graph.fused import fused
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Twin
from losscope.losses.target_stats import TargetStats


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Entropy of the share of positive labels, column by column."""
    del options
    moments = stats.columns
    if moments.weight <= 0:
        return None
    rate = np.clip((moments.mean + 1) / 2, 0, 1)
    inner = np.clip(rate, 1e-12, 1 - 1e-12)
    variance = np.square(np.log(inner / (1 - inner))) * moments.variance / 4
    return Estimate(float(binary_entropy(rate).mean()), math.sqrt(float(variance.mean()) / moments.weight))


SPEC = LossSpec(
    name="soft_margin",
    title="soft margin loss",
    family="classification",
    task="binary",
    formula=r"\ln(1+e^{-y s})",
    input_space="scores",
    range=(0.0, math.inf),
    chance=_chance,
    floor=zero_floor,
    normaliser=lambda _: math.log(2),
    signatures=(fused("SoftMarginLoss", lambda _: {"target": "real"}),),
    references=("https://docs.pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html",),
    examples=(Example("F.soft_margin_loss(x, g)", "F.softplus(-g * x).mean()"),),
    twins=(Twin("F.softplus(-g * x).mean()", "logistic_score"),),
)
