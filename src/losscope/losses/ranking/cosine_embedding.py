"""Cosine embedding: 1 - cos(a, b) for pairs that belong together, max(0, cos(a, b) - m) for others.

At **collapse** (all embeddings equal) it is 1 - m times the share of pairs that do not belong together, so that it can
look low where such pairs are few. It ignores lengths. PyTorch: ``F.cosine_embedding_loss``; a label other than ±1
gives 0 there, silently.
"""

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.cosine import cosine_operands
from losscope.losses.graph.margins import hinge_argument
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _similar(node: Node | None) -> Node | None:
    """The cosine in ``where(y == 1, 1 - cos, 0)``."""
    inner = node.inputs[0] if node is not None and node.op == "Where" else None
    if inner is None or inner.op not in ("Sub", "Rsub"):
        return None
    return next((i for i in inner.inputs if i is not None), None)


def _dissimilar(node: Node | None) -> Node | None:
    """The cosine in ``where(y == -1, max(0, cos - m), 0)``."""
    inner = node.inputs[0] if node is not None and node.op == "Where" else None
    argument = hinge_argument(inner) if inner is not None else None
    if argument is not None and argument.op in ("Sub", "Add"):
        argument = next((i for i in argument.inputs if i is not None), None)
    return argument


def _match(part: Part) -> Reading | None:
    if len(part.node.inputs) != 2:
        return None
    first, second = part.node.inputs
    cosine = _similar(first)
    if cosine is None or cosine is not _dissimilar(second):
        return None
    operands = cosine_operands(cosine)
    if operands is None or first is None:
        return None
    return Reading(
        prediction=operands[0],
        tensor=output(operands[0]) if operands[0] is not None else None,
        target=first.saved("condition"),
        options={"target": "class", "has_target": True},
    )


SPEC = LossSpec(
    name="cosine_embedding",
    title="cosine embedding loss",
    family="ranking",
    task="embedding",
    formula=r"\begin{cases}1-\cos(a,b)&y=1\\\max(0,\cos(a,b)-m)&y=-1\end{cases}",
    input_space="embeddings",
    function=F.cosine_embedding_loss,
    module=torch.nn.CosineEmbeddingLoss,
    arguments=(
        Argument("input1", "embeddings"),
        Argument("input2", "embeddings"),
        Argument("target", "sign-label"),
    ),
    variants=({"margin": 0.3}, {"reduction": "sum"}),
    range=(0.0, 2.0),
    attained="where partners have the same direction and others at least a right angle",
    claims=(Claim("scale-invariant"), Claim("permutation-equivariant"), Claim("convex", holds=False)),
    denominator="number of pairs",
    exceptions={
        "finite": "PyTorch adds 1e-12 to squared lengths, which is 0 in float16: the zero vector gives NaN there",
        "empty-batch": "as PyTorch does everywhere",
    },
    floor=zero_floor,
    signatures=(Signature(("Add",), _match),),
    references=("https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html",),
    examples=(
        Example(
            "F.cosine_embedding_loss(x, u, g[:, 0])",
            "torch.where(g[:, 0] == 1, 1 - F.cosine_similarity(x, u), F.cosine_similarity(x, u).relu()).mean()",
        ),
    ),
    twins=(Twin("F.hinge_embedding_loss(x, g)", "hinge_embedding"),),
)
