"""Smooth absolute error: ½d²/β for |d| < β, else |d| - ½β. PyTorch: ``F.smooth_l1_loss``."""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.part import Part
from losscope.losses.graph.residuals import of_fused
from losscope.losses.regression.location import fitted_chance, zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.target_stats import TargetStats


def _match(part: Part) -> Reading | None:
    return of_fused(part.node, beta=float(part.node.option("beta", 1.0)))


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    beta = float(options.get("beta", 1.0))

    def rho(d: np.ndarray) -> np.ndarray:
        size = np.abs(d)
        return np.where(size < beta, 0.5 * d * d / beta, size - 0.5 * beta) if beta > 0 else size

    return fitted_chance(rho, stats)


SPEC = LossSpec(
    name="smooth_l1",
    title="smooth absolute error",
    family="regression",
    task="regression",
    formula=r"\begin{cases}\frac{(\hat y-y)^2}{2\beta}&|\hat y-y|<\beta\\|\hat y-y|-\frac\beta2&\text{else}\end{cases}",
    input_space="values",
    function=F.smooth_l1_loss,
    module=torch.nn.SmoothL1Loss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    variants=({"beta": 0.5}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="Huber location, between median and mean",
    claims=(
        Claim("convex"),
        Claim("lipschitz", 1.0),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: ((input - target) / options.get("beta", 1.0)).clamp(-1.0, 1.0),
    chance=_chance,
    floor=zero_floor,
    exceptions={
        "broadcasting": "torch broadcasts, with a warning",
        "empty-batch": "as PyTorch does everywhere",
    },
    signatures=(Signature(("SmoothL1Loss",), _match),),
    references=("https://arxiv.org/abs/1504.08083",),
    examples=(
        Example("F.smooth_l1_loss(x, t)", "F.huber_loss(x, t)", options={"beta": 1.0}),
        Example(
            "F.smooth_l1_loss(x, t, beta=0.5)", "2 * F.huber_loss(x, t, delta=0.5)", options={"beta": 0.5}
        ),
    ),
    twins=(Twin("F.huber_loss(x, t)", "huber"), Twin("F.smooth_l1_loss(x, t, beta=0.0)", "l1")),
)
