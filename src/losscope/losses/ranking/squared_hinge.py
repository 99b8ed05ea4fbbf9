"""Squared hinge loss max(0, m - s)², also of a margin on distances (the far pairs of a contrastive loss)."""

import math

from losscope.losses.graph.differences import square_of
from losscope.losses.graph.margins import hinge_argument, inner_parts
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _match(part: Part) -> Reading | None:
    inner = square_of(part.node)
    argument = hinge_argument(inner) if inner is not None else None
    if argument is None:
        return None
    parts, constant = inner_parts(argument)
    if len(parts) != 1 or not (constant or parts[0].scale < 0):
        return None
    score = parts[0].node
    return Reading(prediction=score, tensor=output(score))


SPEC = LossSpec(
    name="squared_hinge",
    title="squared hinge loss",
    family="ranking",
    task="binary",
    formula=r"\max(0,\,1-y s)^2",
    input_space="scores",
    range=(0.0, math.inf),
    floor=zero_floor,
    signatures=(Signature(("Pow", "Mul"), _match),),
    references=("https://www.jmlr.org/papers/v2/crammer01a.html",),
    examples=(
        Example("F.relu(1 - g * x).pow(2).mean()", "(1 - g * x).clamp(min=0).square().mean()"),
        Example("(1 - x).clamp(min=0).square().sum()", "F.relu(1 - x).pow(2).sum()", "sum"),
    ),
    twins=(Twin("F.relu(x).pow(2).mean()", "mean_square"), Twin("F.relu(1 - g * x).mean()", "hinge")),
)
