"""Margin ranking: max(0, -y (a - b) + m) for two scores of which y = ±1 says which should be larger.

PyTorch: ``F.margin_ranking_loss``. With equal scores, as from a constant predictor (**chance**, **collapse**), it is
the **margin**; with PyTorch's default margin of 0 a constant predictor is optimal.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.constants import product
from losscope.losses.graph.margins import hinge_argument, inner_parts
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

_DISTANCES = frozenset(
    {"Norm", "LinalgVectorNorm", "EuclideanDist", "Cdist", "Pdist", "Pow", "Sum", "Sqrt", "Div"}
)


def _match(part: Part) -> Reading | None:
    """A hinge of the difference of two scores, with or without signs."""
    argument = hinge_argument(part.node)
    if argument is None:
        return None
    parts, _ = inner_parts(argument)
    if len(parts) != 2 or abs(parts[0].scale + parts[1].scale) > 1e-6 * abs(parts[0].scale):
        return None
    if any(p.node.op in _DISTANCES or p.node.shape != parts[0].node.shape for p in parts):
        return None
    target = product(parts[0].weights)
    return Reading(
        prediction=parts[0].node,
        tensor=output(parts[0].node),
        target=target,
        options={"target": "real"} if target is not None else {},
    )


SPEC = LossSpec(
    name="margin_ranking",
    title="margin ranking loss",
    family="ranking",
    task="ranking",
    formula=r"\max(0,\,-y(a-b)+m)",
    input_space="scores",
    function=F.margin_ranking_loss,
    module=torch.nn.MarginRankingLoss,
    arguments=(Argument("input1", "scores"), Argument("input2", "scores"), Argument("target", "sign-label")),
    variants=({"margin": 0.5}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where every pair is in the right order by the margin",
    chance=lambda stats, options: Estimate(max(0.0, float(options.get("margin", 0.0)))),
    claims=(
        Claim("convex"),
        Claim("lipschitz", math.sqrt(2)),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of pairs",
    exceptions={
        "empty-batch": "as PyTorch does everywhere",
    },
    floor=zero_floor,
    signatures=(Signature(("Relu", "ClampMin", "Clamp", "Maximum"), _match),),
    references=("https://docs.pytorch.org/docs/stable/generated/torch.nn.MarginRankingLoss.html",),
    examples=(
        Example("F.margin_ranking_loss(x, u, g, margin=0.1)", "F.relu(-g * (x - u) + 0.1).mean()"),
        Example("F.relu(0.2 - x + u).mean()", "(0.2 - (x - u)).clamp(min=0).mean()"),
    ),
    twins=(Twin("F.relu(x + u).mean()", "unknown"),),
)
