"""2-norm of parameters, Σ ‖p‖ over tensors (not squared): it can drive whole tensors to exactly 0."""

import math

from losscope.losses.graph.leaves import leaf_below, penalty_reading
from losscope.losses.graph.part import Part
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _match(part: Part) -> Reading | None:
    node = part.node
    if node.option("ord", node.option("p", 2)) not in (2, None) or node.inputs[0] is None:
        return None
    leaf = leaf_below(node.inputs[0])
    return penalty_reading(part, leaf) if leaf is not None else None


SPEC = LossSpec(
    name="norm_penalty",
    title="2-norm of the parameters",
    family="penalty",
    task="penalty",
    formula=r"\sum_i\lVert\theta_i\rVert_2",
    input_space="any",
    range=(0.0, math.inf),
    floor=zero_floor,
    signatures=(Signature(("LinalgVectorNorm", "Norm"), _match),),
    references=("https://doi.org/10.1111/j.1467-9868.2005.00532.x",),
    examples=(
        Example(
            "0.1 * sum(q.norm() for q in params)", "sum((q ** 2).sum().sqrt() for q in params)", "sum", 0.1
        ),
    ),
    twins=(Twin("torch.norm(x)", "unknown"), Twin("sum(q.norm() ** 2 for q in params)", "l2_penalty")),
)
