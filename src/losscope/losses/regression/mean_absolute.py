"""Mean absolute value of an output: an absolute error with target 0, or a sparsity penalty on activations."""

import math

from losscope.losses.graph.differences import residual
from losscope.losses.graph.forms import strip
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Combination, Example, LossSpec, Reading, Twin


def _match(part: Part, parts: list[Part]) -> Reading | None:
    del parts
    inner = part.node.inputs[0]
    if inner is None or part.weights or residual(inner) is not None or strip(inner).op == "leaf":
        return None
    if not (part.means or part.sums):
        return None
    return Reading(prediction=inner, tensor=output(inner), consumed=(part,))


SPEC = LossSpec(
    name="mean_absolute",
    title="mean absolute value of an output",
    family="regression",
    task="regression",
    formula=r"|\hat y|",
    input_space="values",
    range=(0.0, math.inf),
    floor=zero_floor,
    combinations=(Combination(("Abs",), _match),),
    references=("https://doi.org/10.1111/j.2517-6161.1996.tb02080.x",),
    examples=(
        Example("x.abs().mean()", "F.l1_loss(x, torch.zeros_like(x))"),
        Example("x.abs().sum()", "F.l1_loss(x, torch.zeros_like(x), reduction='sum')", "sum"),
    ),
    twins=(Twin("(x - t).abs().mean()", "l1"), Twin("sum(q.abs().sum() for q in params)", "l1_penalty")),
)
