"""Root of the mean squared error over the batch: √(mean (ŷ - y)²).

It couples the samples of a batch: the mean over batches of the root is not the root of the mean. Its gradient has
length 1/√n however small the error is, so it never settles at a fixed step size; at an error of exactly 0
``F.mse_loss(...).sqrt()`` gives NaN gradients, :func:`rmse_loss` gives 0.
"""

import math
from dataclasses import replace

from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.differences import residual, square_of
from losscope.losses.graph.linear import parts_of
from losscope.losses.graph.part import Part
from losscope.losses.graph.residuals import of_fused, of_residual
from losscope.losses.module import as_module
from losscope.losses.reduction import reduce
from losscope.losses.regression.elements import difference, safe_root
from losscope.losses.regression.location import variance_chance, zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "RMSELoss", "rmse_loss"]


def rmse_loss(input: Tensor, target: Tensor) -> Tensor:
    """√ of the mean squared error over all elements; one number. The gradient at 0 is 0.

    >>> import torch
    >>> float(rmse_loss(torch.tensor([3.0, 4.0, 0.0, 0.0]), torch.zeros(4)))
    2.5
    """
    return safe_root(reduce(difference(input, target).square(), "mean"))


RMSELoss = as_module(rmse_loss, "RMSELoss")


def _match(part: Part) -> Reading | None:
    """√ of one mean of squares (ε may be added), or of a fused mean squared error."""
    inner = part.node.inputs[0]
    if part.node.numel != 1 or inner is None:
        return None
    if part.node.op == "Pow" and part.node.option("exponent") != 0.5:
        return None
    parts = parts_of(inner, lambda p: p.node.op in ("MseLoss", "Pow", "Mul")).parts
    if len(parts) != 1:
        return None
    square = parts[0].node
    if square.op == "MseLoss":
        reading = of_fused(square)
        return replace(reading, reduction="mean") if reading.reduction != "sum" else None
    inside = square_of(square)
    found = residual(inside)
    if found is None or not parts[0].means or parts[0].averaged != square.numel:
        return None
    return replace(of_residual(found), reduction="mean")


def root_of(squared: Estimate | None) -> Estimate | None:
    """Chance level of a root: its standard error by the delta method."""
    if squared is None:
        return None
    root = math.sqrt(squared.value)
    return Estimate(root, squared.stderr / (2 * root) if root else 0.0)


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    return root_of(variance_chance(stats, options))


SPEC = LossSpec(
    name="rmse",
    title="root mean squared error",
    family="regression",
    task="regression",
    formula=r"\sqrt{\tfrac1n\sum_i(\hat y_i-y_i)^2}",
    input_space="values",
    function=rmse_loss,
    module=RMSELoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="mean",
    claims=(
        Claim("convex", why="a norm of the residuals"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    batch_coupled=True,
    denominator="number of elements, under the root",
    chance=_chance,
    floor=zero_floor,
    signatures=(Signature(("Sqrt", "Pow"), _match),),
    references=("https://doi.org/10.5194/gmd-7-1247-2014",),
    examples=(
        Example("F.mse_loss(x, t).sqrt()", "((x - t) ** 2).mean().sqrt()"),
        Example("torch.sqrt(((x - t) ** 2).mean() + 1e-8)", "F.mse_loss(x, t).sqrt()"),
    ),
    twins=(Twin("(x - t).abs().mean().sqrt()", "unknown"), Twin("F.mse_loss(x, t) ** 1.5", "unknown")),
)
