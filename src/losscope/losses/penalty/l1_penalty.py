"""1-norm of parameters, Σ |p|: the lasso penalty, which drives parameters to exactly 0.

It is the negative logarithm of a Laplace prior. Convex; its gradient is the sign, 0 at 0, whatever the size. A plain
gradient step does not reach exact zeros (it oscillates around them by the step size): that takes a proximal step,
soft-thresholding. Traps: adaptive optimisers rescale its gradient away; biases and gains of normalisation layers are
usually left out; being a sum, it grows with the model, so that λ does not carry over. Source: Tibshirani 1996.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.leaves import leaf_below, penalty_reading
from losscope.losses.graph.part import Part
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

__all__ = ["SPEC", "L1Penalty", "l1_penalty"]


def l1_penalty(*parameters: Tensor) -> Tensor:
    """Σ |p| over all elements of all parameters.

    float16 and bfloat16 are computed and returned in float32. Without parameters: 0.

    >>> import torch
    >>> float(l1_penalty(torch.tensor([3.0, -4.0]), torch.tensor([[0.0, 12.0]])))
    19.0
    """
    return sum((p.abs().sum() for p in full_precision(*parameters)), torch.zeros(()))


L1Penalty = as_module(l1_penalty, "L1Penalty")


def _match(part: Part) -> Reading | None:
    node = part.node
    if node.op in ("LinalgVectorNorm", "Norm") and node.option("ord", node.option("p", 2)) != 1:
        return None
    leaf = leaf_below(node.inputs[0]) if node.inputs[0] is not None else None
    return penalty_reading(part, leaf) if leaf is not None else None


SPEC = LossSpec(
    name="l1_penalty",
    title="1-norm of the parameters",
    also=("lasso",),
    family="penalty",
    task="penalty",
    formula=r"\lVert\theta\rVert_1",
    input_space="any",
    function=l1_penalty,
    module=L1Penalty,
    arguments=(Argument("parameters", "values", axes="D"),),
    range=(0.0, math.inf),
    attained="where all parameters are 0",
    claims=(Claim("convex"),),
    denominator="nothing: a sum over the parameters",
    floor=zero_floor,
    signatures=(Signature(("Abs", "LinalgVectorNorm", "Norm"), _match),),
    references=("https://doi.org/10.1111/j.2517-6161.1996.tb02080.x",),
    examples=(
        Example("sum(q.abs().sum() for q in params)", "sum(q.abs().sum() for q in params)", "sum"),
        Example("1e-3 * sum(q.norm(p=1) for q in params)", "sum(q.abs().sum() for q in params)", "sum", 1e-3),
    ),
    twins=(Twin("x.abs().sum()", "mean_absolute"), Twin("sum(q.norm() for q in params)", "norm_penalty")),
)
