"""1-norm of parameters, Σ |p|: the lasso penalty, which drives parameters to exactly 0."""

import math

from losscope.losses.graph.leaves import leaf_below, penalty_reading
from losscope.losses.graph.part import Part
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _match(part: Part) -> Reading | None:
    node = part.node
    if node.op in ("LinalgVectorNorm", "Norm") and node.option("ord", node.option("p", 2)) != 1:
        return None
    leaf = leaf_below(node.inputs[0]) if node.inputs[0] is not None else None
    return penalty_reading(part, leaf) if leaf is not None else None


SPEC = LossSpec(
    name="l1_penalty",
    title="1-norm of the parameters",
    family="penalty",
    task="penalty",
    formula=r"\lVert\theta\rVert_1",
    input_space="any",
    range=(0.0, math.inf),
    floor=zero_floor,
    signatures=(Signature(("Abs", "LinalgVectorNorm", "Norm"), _match),),
    references=("https://doi.org/10.1111/j.2517-6161.1996.tb02080.x",),
    examples=(
        Example("sum(q.abs().sum() for q in params)", "sum(q.abs().sum() for q in params)", "sum"),
        Example("1e-3 * sum(q.norm(p=1) for q in params)", "sum(q.abs().sum() for q in params)", "sum", 1e-3),
    ),
    twins=(Twin("x.abs().sum()", "mean_absolute"), Twin("sum(q.norm() for q in params)", "norm_penalty")),
)
