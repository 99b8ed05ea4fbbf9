"""Triplet margin: max(0, d(a, p) - d(a, n) + m) with a distance d.

PyTorch: ``F.triplet_margin_loss``. At **collapse** (all embeddings equal) it is exactly the **margin**: a value
stuck at the margin is collapse, not chance. Random triplets are soon beyond the margin and have no gradient; the
value is then a share of hard triplets more than a distance. PyTorch adds 10⁻⁶ to every coordinate of a difference,
which keeps the gradient finite where points coincide.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.margins import hinge_argument, inner_parts
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

_DISTANCES = frozenset({"Norm", "LinalgVectorNorm", "EuclideanDist", "Cdist", "Sum", "Sqrt", "Div"})


def _embedding(node: Node) -> Node | None:
    """The anchor embedding: the first operand of the difference that the distance is taken of."""
    for below in node.below(6):
        if below.op == "Sub" and below.inputs[0] is not None:
            return below.inputs[0]
    return None


def _match(part: Part) -> Reading | None:
    argument = hinge_argument(part.node)
    if argument is None:
        return None
    parts, _ = inner_parts(argument)
    if len(parts) != 2 or abs(parts[0].scale + parts[1].scale) > 1e-6 * abs(parts[0].scale):
        return None
    if not all(p.node.op in _DISTANCES and p.node.op == parts[0].node.op for p in parts):
        return None
    anchor = _embedding(parts[0].node)
    return Reading(prediction=anchor, tensor=output(anchor) if anchor is not None else None)


SPEC = LossSpec(
    name="triplet_margin",
    title="triplet margin loss",
    also=("triplet",),
    family="ranking",
    task="embedding",
    formula=r"\max(0,\,d(a,p)-d(a,n)+m)",
    input_space="embeddings",
    function=F.triplet_margin_loss,
    module=torch.nn.TripletMarginLoss,
    arguments=(
        Argument("anchor", "embeddings"),
        Argument("positive", "embeddings"),
        Argument("negative", "embeddings"),
    ),
    variants=({"margin": 0.2}, {"swap": True}, {"p": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where every negative is farther from its anchor than the positive by the margin",
    claims=(
        Claim("convex", holds=False),
        Claim("lipschitz", math.sqrt(6), why="2 for the anchor, 1 for each of the others"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of triplets",
    exceptions={"empty-batch": "as PyTorch does everywhere"},
    chance=lambda stats, options: Estimate(max(0.0, float(options.get("margin", 1.0)))),
    floor=zero_floor,
    signatures=(Signature(("Relu", "ClampMin", "Clamp", "Maximum"), _match),),
    references=("https://doi.org/10.5244/C.30.119",),
    examples=(
        Example(
            "F.triplet_margin_loss(x, u, p)",
            "F.relu(F.pairwise_distance(x, u) - F.pairwise_distance(x, p) + 1).mean()",
        ),
        Example("F.triplet_margin_with_distance_loss(x, u, p)", "F.triplet_margin_loss(x, u, p)"),
    ),
    twins=(Twin("F.relu(F.pairwise_distance(x, u) + F.pairwise_distance(x, p) - 1).mean()", "unknown"),),
)
