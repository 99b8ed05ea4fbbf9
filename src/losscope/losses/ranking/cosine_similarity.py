"""Mean cosine similarity of two embeddings; minimised as -cos or 1 - cos (BYOL, SimSiam, regression of angles).

The contract is that of the cosine itself, of which the objective is the negative: best is 1. At **collapse** (all
embeddings equal) it is 1 as well, so that -cos at its minimum proves nothing without negatives: look at the spread of
the embeddings too. Unrelated directions in D dimensions have cosines of 0 ± 1/√D.
"""

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import unit
from losscope.losses.graph.cosine import cosine_operands
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

__all__ = ["SPEC", "CosineSimilarityScore", "cosine_similarity_score"]


def cosine_similarity_score(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """cos of ``input`` and ``target`` [N, …, D] along the last axis, to be **maximised**: minimise its negative.

    Grill et al., arXiv:2006.07733; Chen and He, arXiv:2011.10566, eq. 1.

    >>> import torch
    >>> float(cosine_similarity_score(torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 0.0]])))
    1.0
    """
    same_shape(input, target)
    input, target = full_precision(input, target)
    return reduce((unit(input) * unit(target)).sum(-1), reduction)


CosineSimilarityScore = as_module(cosine_similarity_score, "CosineSimilarityScore")


def _match(part: Part) -> Reading | None:
    operands = cosine_operands(part.node)
    if operands is None:
        return None
    prediction = operands[0] or operands[1]
    return Reading(
        prediction=prediction,
        tensor=output(prediction) if prediction is not None else None,
    )


SPEC = LossSpec(
    name="cosine_similarity",
    title="cosine similarity",
    family="ranking",
    task="embedding",
    formula=r"\cos(a,b)",
    input_space="embeddings",
    function=cosine_similarity_score,
    module=CosineSimilarityScore,
    arguments=(Argument("input", "embeddings"), Argument("target", "embeddings")),
    variants=({"reduction": "sum"},),
    range=(-1.0, 1.0),
    attained="for opposite directions; the aim is its supremum 1, for equal ones",
    exceptions={
        "perfect": "a similarity is to be as large as it can be: its negative is the loss",
        "self-similarity": "a similarity is to be as large as it can be: its negative is the loss",
    },
    claims=(
        Claim("scale-invariant"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
    ),
    denominator="number of pairs",
    signatures=(Signature(("Sum", "Div"), _match),),
    references=("https://arxiv.org/abs/2006.07733",),
    examples=(
        Example(
            "-F.cosine_similarity(x, u).mean()",
            "(F.normalize(x) * F.normalize(u)).sum(1).mean()",
            coefficient=-1.0,
        ),
        Example(
            "-(F.normalize(x) * F.normalize(u)).sum(1).mean()",
            "F.cosine_similarity(x, u).mean()",
            coefficient=-1.0,
        ),
    ),
    twins=(Twin("-(x * u).sum(1).mean()", "unknown"),),
)
