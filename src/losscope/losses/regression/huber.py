"""Huber loss: ½d² for |d| ≤ δ, else δ(|d| - ½δ). PyTorch: ``F.huber_loss``."""

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
    return of_fused(part.node, delta=float(part.node.option("delta", 1.0)))


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    delta = float(options.get("delta", 1.0))

    def rho(d: np.ndarray) -> np.ndarray:
        size = np.abs(d)
        return np.where(size <= delta, 0.5 * d * d, delta * (size - 0.5 * delta))

    return fitted_chance(rho, stats)


SPEC = LossSpec(
    name="huber",
    title="Huber loss",
    family="regression",
    task="regression",
    formula=r"\begin{cases}\tfrac12d^2&|d|\le\delta\\\delta(|d|-\tfrac\delta2)&\text{else}\end{cases},\quad d=\hat y-y",
    input_space="values",
    function=F.huber_loss,
    module=torch.nn.HuberLoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    variants=({"delta": 0.5}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="Huber location, between median and mean",
    claims=(Claim("convex"), Claim("lipschitz", 1.0, why="δ in general"), Claim("permutation-equivariant")),
    gradient=lambda input, target, options: (input - target).clamp(
        -options.get("delta", 1.0), options.get("delta", 1.0)
    ),
    chance=_chance,
    floor=zero_floor,
    exceptions={
        "broadcasting": "torch broadcasts, with a warning",
        "empty-batch": "as PyTorch does everywhere",
    },
    signatures=(Signature(("HuberLoss",), _match),),
    references=("https://doi.org/10.1214/aoms/1177703732",),
    examples=(
        Example(
            "F.huber_loss(x, t, delta=0.5)", "0.5 * F.smooth_l1_loss(x, t, beta=0.5)", options={"delta": 0.5}
        ),
    ),
    twins=(Twin("F.smooth_l1_loss(x, t)", "smooth_l1"),),
)
