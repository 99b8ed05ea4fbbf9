"""2-norm of parameters, Σ ‖p‖ over tensors (not squared): it can drive whole tensors to exactly 0.

The group lasso with one group for each tensor: its gradient p/‖p‖ has length 1 however small the tensor is. Convex,
1-Lipschitz for each tensor. In the group lasso each norm is weighted by the square root of its number of elements.
Trap: written as ``(p ** 2).sum().sqrt()`` its gradient at 0 is NaN. Source: Yuan and Lin 2006.
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

__all__ = ["SPEC", "NormPenalty", "norm_penalty"]


def norm_penalty(*parameters: Tensor) -> Tensor:
    """Σ ‖p‖₂ over the parameters, one norm for each tensor; its gradient at a tensor of zeros is 0.

    float16 and bfloat16 are computed and returned in float32. Without parameters: 0.

    >>> import torch
    >>> float(norm_penalty(torch.tensor([3.0, -4.0]), torch.tensor([[0.0, 12.0]])))
    17.0
    """
    return sum((torch.linalg.vector_norm(p) for p in full_precision(*parameters)), torch.zeros(()))


NormPenalty = as_module(norm_penalty, "NormPenalty")


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
    function=norm_penalty,
    module=NormPenalty,
    arguments=(Argument("parameters", "values", axes="D"),),
    range=(0.0, math.inf),
    attained="where all parameters are 0",
    claims=(Claim("convex"), Claim("lipschitz", 1.0, why="per tensor")),
    denominator="nothing: a sum over the parameters",
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
