"""Log-cosh error ln cosh(ŷ - y): quadratic near 0, absolute far away."""

import math

import numpy as np

from losscope.core.estimate import Estimate
from losscope.losses.graph.differences import residual
from losscope.losses.graph.part import Part
from losscope.losses.graph.residuals import of_residual
from losscope.losses.regression.location import fitted_chance, zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.target_stats import TargetStats


def _match(part: Part) -> Reading | None:
    inner = part.node.inputs[0]
    if inner is not None and inner.op == "Add" and inner.variant in (0, 1):  # cosh(d + ε), cosh(d) + ε
        inner = next((i for i in inner.inputs if i is not None), None)
    if inner is None or inner.op != "Cosh":
        return None
    found = residual(inner.inputs[0])
    return None if found is None else of_residual(found)


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    del options
    return fitted_chance(lambda d: np.logaddexp(d, -d) - math.log(2), stats)


SPEC = LossSpec(
    name="log_cosh",
    title="log-cosh error",
    family="regression",
    task="regression",
    formula=r"\ln\cosh(\hat y-y)",
    input_space="values",
    range=(0.0, math.inf),
    chance=_chance,
    floor=zero_floor,
    signatures=(Signature(("Log",), _match),),
    examples=(
        Example(
            "torch.log(torch.cosh(x - t)).mean()", "(F.softplus(2 * (x - t)) - (x - t) - math.log(2)).mean()"
        ),
    ),
    twins=(Twin("torch.log(torch.cosh(x)).mean()", "unknown"),),
)
