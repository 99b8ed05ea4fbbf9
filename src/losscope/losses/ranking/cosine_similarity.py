"""Mean cosine similarity of two embeddings; minimised as -cos or 1 - cos (BYOL, SimSiam, regression of angles)."""

from losscope.losses.graph.cosine import cosine_operands
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


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
    range=(-1.0, 1.0),
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
