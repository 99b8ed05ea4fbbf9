"""Gaussian negative log-likelihood with a predicted variance: ½[ln v + (ŷ - y)²/v].

PyTorch: ``F.gaussian_nll_loss``, and ``-Normal(mu, sigma).log_prob(y)``. It is unbounded below: a
prediction that hits its target may shrink the variance without limit (``F.gaussian_nll_loss`` stops at
``eps``).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.differences import residual, square_of
from losscope.losses.graph.forms import strip
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.spec import Combination, Example, LossSpec, Options, Reading, Twin
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats

_SCALE_VIEWS = frozenset({"Clamp", "ClampMin", "Clone", "Add"})


def _standardised(node: Node) -> tuple[Node, Node] | None:
    """(residual, divisor) of r²/v or of -(r²)/(2σ²)."""
    if node.op != "Div" or len(node.inputs) != 2 or node.inputs[0] is None or node.inputs[1] is None:
        return None
    top, bottom = node.inputs[0], node.inputs[1]
    if top.op == "Neg" and top.inputs[0] is not None:
        top = top.inputs[0]
    inner = square_of(top)
    return (inner, bottom) if inner is not None and residual(inner) is not None else None


def _match(first: Part, parts: list[Part]) -> Reading | None:
    """The quadratic part and the logarithm of a variance (or of a standard deviation)."""
    found = _standardised(first.node)
    if found is None:
        return None
    inner, divisor = found
    spread = _root(divisor)
    for part in parts:
        if part.node.op != "Log" or part.node.inputs[0] is None or _root(part.node.inputs[0]) is not spread:
            continue
        r = residual(inner)
        assert r is not None
        negative = first.node.inputs[0] is not None and first.node.inputs[0].op == "Neg"
        return Reading(
            prediction=r.prediction or r.target,
            tensor=output(r.prediction) if r.prediction is not None else None,
            options={"target": "real", "has_target": True},
            consumed=(first, part),
            sign=-1.0 if negative else 1.0,
            factor=first.scale * (1 if negative else 2),
            absorbs_constant=True,
        )
    return None


def _root(node: Node) -> Node:
    """The tensor that a variance or a scale is made of, without clamps, squares and constant factors."""
    while True:
        node = strip(node).skip(_SCALE_VIEWS)
        square = square_of(node)
        if square is not None:
            node = square
        elif node.op == "Mul" and None in node.inputs:
            node = next(i for i in node.inputs if i is not None)
        else:
            return node


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Mean and variance constant: ½(ln s² + 1), and ½ ln 2π with ``full``."""
    moments = stats.columns
    if moments.weight <= 0 or (moments.variance <= 0).any():
        return None
    variance = moments.variance
    rows = stats.sample.rows
    error = of_rows((0.5 * np.square(rows - moments.mean) / variance).mean(1), stats)
    constant = 0.5 * math.log(2 * math.pi) if options.get("full") else 0.0
    return Estimate(float((0.5 * (np.log(variance) + 1)).mean()) + constant, error)


SPEC = LossSpec(
    name="gaussian_nll",
    title="Gaussian negative log-likelihood",
    family="regression",
    task="regression",
    formula=r"\tfrac12\left[\ln v+\frac{(\hat y-y)^2}{v}\right]",
    input_space="values",
    function=F.gaussian_nll_loss,
    module=torch.nn.GaussianNLLLoss,
    arguments=(Argument("input", "values"), Argument("target", "real"), Argument("var", "variance")),
    variants=({"full": True}, {"reduction": "sum"}),
    range=(-math.inf, math.inf),
    attained="nowhere: it falls without limit as the variance shrinks on a hit (to ½ ln eps in F.gaussian_nll_loss)",
    unit="nats",
    elicits="mean and variance",
    claims=(
        Claim("convex", holds=False, why="for a fixed residual it is concave in a large variance"),
        Claim("permutation-equivariant"),
    ),
    chance=_chance,
    exceptions={
        "broadcasting": "F.gaussian_nll_loss lets the target broadcast, without a warning",
        "empty-batch": "as PyTorch does everywhere",
        "range": "the likelihood has no lower bound; F.gaussian_nll_loss stops at ½ ln eps for a hit",
        "compile": "F.gaussian_nll_loss looks at the values of the variance to refuse negative ones",
        "torch-func": "F.gaussian_nll_loss looks at the values of the variance to refuse negative ones",
    },
    combinations=(Combination(("Div",), _match),),
    references=("https://doi.org/10.1109/ICNN.1994.374138",),
    examples=(
        Example("F.gaussian_nll_loss(x, t, v)", "(0.5 * (v.log() + (x - t) ** 2 / v)).mean()"),
        Example(
            "-torch.distributions.Normal(x, v).log_prob(t).mean()",
            "(v.log() + (x - t) ** 2 / (2 * v ** 2)).mean() + 0.5 * math.log(2 * math.pi)",
        ),
    ),
    twins=(Twin("(0.5 * (p.log() + (x - t) ** 2 / v)).mean()", "unknown"),),
)
