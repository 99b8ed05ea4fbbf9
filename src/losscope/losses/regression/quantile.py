"""Quantile (pinball) loss: q·d for d = y - ŷ ≥ 0, else (q - 1)·d. It elicits the q-quantile.

With q = ½ it is half the absolute error. A high q punishes predictions that are too low. Its minimiser is a whole
interval where the data leave one; several quantiles fitted one by one may cross (see ``multi_quantile``).
"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.differences import residual
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.residuals import of_residual
from losscope.losses.graph.steps import constant_factor
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.elements import difference
from losscope.losses.regression.location import fitted_chance, zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "QuantileLoss", "quantile_loss"]


def pinball(d: Tensor, quantile: float | Tensor) -> Tensor:
    """max(-q·d, (1 - q)·d) of the differences d = ŷ - y."""
    return torch.maximum(-quantile * d, (1 - quantile) * d)


def quantile_loss(input: Tensor, target: Tensor, *, quantile: float = 0.5, reduction: str = "mean") -> Tensor:
    """Pinball loss of predicted quantiles, per element: q·(y - ŷ) above the prediction, (1 - q)·(ŷ - y) below.

    ``input`` and ``target`` have one shape, ``quantile`` lies in (0, 1). Koenker and Bassett 1978, eq. 3.1.

    >>> quantile_loss(torch.zeros(2), torch.tensor([1.0, -1.0]), quantile=0.75, reduction="none").tolist()
    [0.75, 0.25]
    """
    if not 0 < quantile < 1:
        raise BadUsage("a quantile lies between 0 and 1", seen=str(quantile), remedy="quantile=0.9, say")
    return reduce(pinball(difference(input, target), quantile), reduction)


QuantileLoss = as_module(quantile_loss, "QuantileLoss")


def _slope(node: Node | None) -> tuple[float, Node] | None:
    """c and d of c·d."""
    if node is None or node.op != "Mul":
        return None
    found = constant_factor(node)
    child = node.inputs[found[0]] if found else None
    return (found[1], child) if found and isinstance(found[1], float) and child is not None else None


def _match(part: Part) -> Reading | None:
    """max(q·d, (q - 1)·d)."""
    sides = [_slope(child) for child in part.node.inputs]
    if len(sides) != 2 or sides[0] is None or sides[1] is None or sides[0][1] is not sides[1][1]:
        return None
    low, high = sorted((sides[0][0], sides[1][0]))
    found = residual(sides[0][1])
    if found is None or not abs(high - low - 1) < 1e-6 or not low <= 0 <= high:
        return None
    reading = of_residual(found)
    return replace(reading, options={**reading.options, "quantile": high})


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    q = float(options.get("quantile", 0.5))
    return fitted_chance(lambda d: np.maximum(q * d, (q - 1) * d), stats)


SPEC = LossSpec(
    name="quantile",
    title="quantile loss",
    also=("pinball",),
    family="regression",
    task="regression",
    formula=r"\max(q\,d,(q-1)\,d),\quad d=y-\hat y",
    input_space="values",
    function=quantile_loss,
    module=QuantileLoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    variants=({"quantile": 0.9}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="quantile",
    claims=(
        Claim("convex"),
        Claim("lipschitz", 0.5, why="max(q, 1 - q)"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: (input > target).to(input.dtype) - options.get("quantile", 0.5),
    chance=_chance,
    floor=zero_floor,
    signatures=(Signature(("Maximum",), _match),),
    references=("https://doi.org/10.2307/1913643",),
    examples=(
        Example(
            "torch.maximum(0.9 * d, -0.1 * d).mean()",
            "(0.9 * F.relu(t - x) + 0.1 * F.relu(x - t)).mean()",
        ),
    ),
    twins=(Twin("torch.maximum(0.9 * d, -0.5 * d).mean()", "unknown"),),
)
