"""Quantile (pinball) loss: q·d for d = y - ŷ ≥ 0, else (q - 1)·d. It elicits the q-quantile."""

import math
from dataclasses import replace

import numpy as np

from losscope.core.estimate import Estimate
from losscope.losses.graph.differences import residual
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.residuals import of_residual
from losscope.losses.graph.steps import constant_factor
from losscope.losses.regression.location import fitted_chance, zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.target_stats import TargetStats


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
    family="regression",
    task="regression",
    formula=r"\max(q\,d,(q-1)\,d),\quad d=y-\hat y",
    input_space="values",
    range=(0.0, math.inf),
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
