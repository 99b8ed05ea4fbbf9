"""Squared 2-norm of parameters, Σ p²: weight decay written into the loss.

It is the negative logarithm of a Gaussian prior. Under plain gradient descent λ Σ p² is weight decay of 2λ; under
Adam it is not: the adaptive step divides it by the gradient's size, which is why AdamW decays outside of the loss.
Convex, smooth with constant 2. A factor ½ is a common convention and is not in here. Trap: before a normalisation
layer the scale of the weights has no effect on the function, there the penalty only sets the effective learning rate.

Read where a square, or a squared norm, is taken of a leaf of the graph. A loop over parameters becomes
one term.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.differences import square_of
from losscope.losses.graph.forms import strip
from losscope.losses.graph.leaves import leaf_below, penalty_reading
from losscope.losses.graph.part import Part
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

__all__ = ["SPEC", "L2Penalty", "l2_penalty"]


def l2_penalty(*parameters: Tensor) -> Tensor:
    """Σ p² over all elements of all parameters (without the factor ½ of weight decay).

    float16 and bfloat16 are computed and returned in float32. Without parameters: 0.

    >>> import torch
    >>> float(l2_penalty(torch.tensor([3.0, -4.0]), torch.tensor([[0.0, 12.0]])))
    169.0
    """
    return sum((p.square().sum() for p in full_precision(*parameters)), torch.zeros(()))


L2Penalty = as_module(l2_penalty, "L2Penalty")


def _dot(part: Part) -> Reading | None:
    """w · w."""
    sides = [leaf_below(child) if child is not None else None for child in part.node.inputs]
    same = len(sides) == 2 and sides[0] is not None and sides[0] is sides[1]
    return Reading(prediction=sides[0], reduction="sum") if same else None


def _match(part: Part) -> Reading | None:
    inner = square_of(part.node)
    if inner is None:
        return None
    leaf = leaf_below(inner)
    if leaf is not None:
        return penalty_reading(part, leaf)
    norm = strip(inner)
    if norm.op not in ("LinalgVectorNorm", "Norm") or norm.option("ord", norm.option("p", 2)) not in (
        2,
        None,
    ):
        return None
    source = norm.inputs[0]
    leaf = leaf_below(source) if source is not None else None
    return penalty_reading(part, leaf) if leaf is not None else None


SPEC = LossSpec(
    name="l2_penalty",
    title="squared 2-norm of the parameters",
    also=("weight decay", "ridge"),
    family="penalty",
    task="penalty",
    formula=r"\lVert\theta\rVert_2^2",
    input_space="any",
    function=l2_penalty,
    module=L2Penalty,
    arguments=(Argument("parameters", "values", axes="D"),),
    range=(0.0, math.inf),
    attained="where all parameters are 0",
    claims=(
        Claim("convex"),
        Claim("smooth", 2.0),
        Claim("lipschitz", 1.0, holds=False, why="grows with the size"),
    ),
    denominator="nothing: a sum over the parameters",
    floor=zero_floor,
    signatures=(Signature(("Pow", "Mul"), _match), Signature(("Dot",), _dot)),
    references=(
        "https://proceedings.neurips.cc/paper/1991/hash/8eefcfdf5990e441f0fb6f3fad709e21-Abstract.html",
    ),
    examples=(
        Example(
            "0.01 * sum((q ** 2).sum() for q in params)", "sum((q * q).sum() for q in params)", "sum", 0.01
        ),
        Example("sum(q.pow(2).sum() for q in params)", "sum((q * q).sum() for q in params)", "sum"),
        Example("sum(torch.norm(q) ** 2 for q in params)", "sum((q * q).sum() for q in params)", "sum"),
        Example("sum((q * q).sum() for q in params)", "sum((q ** 2).sum() for q in params)", "sum"),
        Example("0.1 * params[0].view(-1).dot(params[0].view(-1))", "(params[0] ** 2).sum()", "sum", 0.1),
    ),
    twins=(
        Twin("params[0].view(-1).dot(params[1].view(-1))", "unknown"),
        Twin("sum((q ** 3).sum() for q in params)", "unknown"),
        Twin("(params[0] * params[0].exp()).sum()", "unknown"),
        Twin("(params[0] - 1.0).pow(2).sum()", "mse"),
    ),
)
