"""Log-cosh error ln cosh(ŷ - y): ½d² near 0, |d| - ln 2 far away.

A smooth Huber loss without a threshold: convex, with the gradient tanh d. Written as ``torch.log(torch.cosh(d))`` it
overflows from |d| ≈ 89 in float32 (11 in float16) and loses all digits below |d| ≈ 3e-4; :func:`log_cosh_loss` has
neither fault. Its scale is fixed at 1: divide prediction and target by the noise's scale first.
"""

import math

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.differences import residual
from losscope.losses.graph.part import Part
from losscope.losses.graph.residuals import of_residual
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.elements import difference, softplus
from losscope.losses.regression.location import fitted_chance, zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "LogCoshLoss", "log_cosh_loss"]


def log_cosh_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """ln cosh(input - target) per element; ``input`` and ``target`` have one shape. Smooth at 0, finite everywhere.

    >>> log_cosh_loss(torch.tensor([1e4, 0.0]), torch.zeros(2), reduction="none")
    tensor([9999.3066,    0.0000])
    """
    d = difference(input, target)
    # ½ ln(1 + sinh² d) keeps all digits near 0; d + ln(1 + e^-2d) - ln 2 does not overflow far away.
    near = d.abs() < 1
    losses = torch.where(
        near,
        0.5 * torch.where(near, d, 0.0).sinh().square().log1p(),
        d + softplus(-2 * d) - math.log(2),
    )
    return reduce(losses, reduction)


LogCoshLoss = as_module(log_cosh_loss, "LogCoshLoss")


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
    also=("logcosh",),
    family="regression",
    task="regression",
    formula=r"\ln\cosh(\hat y-y)",
    input_space="values",
    function=log_cosh_loss,
    module=LogCoshLoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="log-cosh location, between median and mean",
    claims=(
        Claim("convex"),
        Claim("lipschitz", 1.0),
        Claim("smooth", 1.0),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: (input - target).tanh(),
    logit_hessian=lambda input, target, options: torch.diag_embed(1 - (input - target).tanh().square()),
    chance=_chance,
    floor=zero_floor,
    signatures=(Signature(("Log",), _match),),
    references=("https://arxiv.org/abs/2208.04564",),
    examples=(
        Example(
            "torch.log(torch.cosh(x - t)).mean()", "(F.softplus(2 * (x - t)) - (x - t) - math.log(2)).mean()"
        ),
    ),
    twins=(Twin("torch.log(torch.cosh(x)).mean()", "unknown"),),
)
