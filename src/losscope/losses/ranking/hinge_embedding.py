"""Hinge embedding: the distance x where y = 1, max(0, m - x) where y = -1. PyTorch: ``F.hinge_embedding_loss``.

At **collapse** (all distances 0) it is the margin times the share of pairs that do not belong together. It takes
distances, which are not negative, but does not check: on raw scores it has no lower bound. A label other than ±1 adds
both parts.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.margins import hinge_argument
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _selected(node: Node | None) -> Node | None:
    """What ``where`` selects, the other side being constant."""
    if node is None or node.op != "Where":
        return None
    present = [i for i in node.inputs if i is not None]
    return present[0] if len(present) == 1 else None


def _match(part: Part) -> Reading | None:
    if len(part.node.inputs) != 2:
        return None
    margin_side, plain_side = part.node.inputs
    hinge = _selected(margin_side)
    argument = hinge_argument(hinge) if hinge is not None else None
    distance = _selected(plain_side)
    if argument is None or distance is None or argument.op not in ("Sub", "Rsub") or margin_side is None:
        return None
    if next((i for i in argument.inputs if i is not None), None) is not distance:
        return None
    return Reading(
        prediction=distance,
        tensor=output(distance),
        target=margin_side.saved("condition"),
        options={"target": "class", "has_target": True},
    )


SPEC = LossSpec(
    name="hinge_embedding",
    title="hinge embedding loss",
    family="ranking",
    task="embedding",
    formula=r"\begin{cases}x&y=1\\\max(0,m-x)&y=-1\end{cases}",
    input_space="embeddings",
    function=F.hinge_embedding_loss,
    module=torch.nn.HingeEmbeddingLoss,
    arguments=(Argument("input", "values"), Argument("target", "sign")),
    variants=({"margin": 0.5}, {"reduction": "sum"}),
    range=(-math.inf, math.inf),
    attained="nowhere for raw scores; 0 where distances of partners are 0 and others beyond the margin",
    claims=(Claim("convex"), Claim("lipschitz", 1.0), Claim("permutation-equivariant")),
    exceptions={
        "broadcasting": "PyTorch does not compare the shapes of distances and labels",
        "descent": "it takes distances: a smaller number is nearer, so that label 1 pulls the input down",
        "empty-batch": "as PyTorch does everywhere",
    },
    signatures=(Signature(("Add",), _match),),
    references=("https://docs.pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html",),
    examples=(Example("F.hinge_embedding_loss(x, g)", "torch.where(g == 1, x, (1 - x).relu()).mean()"),),
    twins=(Twin("F.cosine_embedding_loss(x, u, g[:, 0])", "cosine_embedding"),),
)
