"""Mean square of an output: a squared error with target 0.

The residual of a differential equation (PINN), the generated half of a least-squares GAN, or a penalty on
activations: which one it is, the graph does not tell.
"""

import math

from losscope.losses.graph.differences import residual, square_of
from losscope.losses.graph.forms import strip
from losscope.losses.graph.leaves import leaf_below
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Combination, Example, LossSpec, Reading, Twin


def _match(part: Part, parts: list[Part]) -> Reading | None:
    del parts
    inner = square_of(part.node)
    if inner is None or part.weights or not (part.means or part.sums) or residual(inner) is not None:
        return None
    if leaf_below(inner) is not None or strip(inner).op in ("Norm", "LinalgVectorNorm"):
        return None
    return Reading(prediction=inner, tensor=output(inner), consumed=(part,))


SPEC = LossSpec(
    name="mean_square",
    title="mean square of an output",
    family="regression",
    task="regression",
    formula=r"\hat y^2",
    input_space="values",
    range=(0.0, math.inf),
    floor=zero_floor,
    combinations=(Combination(("Pow", "Mul"), _match),),
    references=("https://doi.org/10.1016/j.jcp.2018.10.045",),
    examples=(
        Example("(x ** 2).mean()", "F.mse_loss(x, torch.zeros_like(x))"),
        Example("0.1 * (x * x).sum()", "F.mse_loss(x, torch.zeros_like(x), reduction='sum')", "sum", 0.1),
    ),
    twins=(Twin("((x - t) ** 2).mean()", "mse"), Twin("(x * u).mean()", "unknown")),
)
