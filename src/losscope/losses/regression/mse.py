"""Squared error (ŷ - y)², which elicits the mean.

PyTorch: ``F.mse_loss``; also ``((a - b) ** 2).mean()``, ``.square()``, ``d * d`` and the squared 2-norm of
the difference. Convex in the outputs; its gradient 2(ŷ - y) grows without bound, so
one outlier can move everything.
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.differences import residual, square_of
from losscope.losses.graph.part import Part
from losscope.losses.graph.residuals import of_fused, of_residual, skip_views
from losscope.losses.regression.location import variance_chance, zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _fused(part: Part) -> Reading | None:
    return of_fused(part.node)


def _square(part: Part) -> Reading | None:
    """(a - b)², or ‖a - b‖₂² of the whole difference."""
    inner = square_of(part.node)
    if inner is None:
        return None
    found = residual(inner)
    if found is not None:
        return of_residual(found)
    norm = skip_views(inner)
    if norm is None or norm.op not in ("LinalgVectorNorm", "Norm"):
        return None
    if norm.option("ord", norm.option("p", 2)) not in (2, None):
        return None
    found = residual(norm.inputs[0])
    if found is None:
        return None
    return of_residual(found) if norm.numel > 1 else replace(of_residual(found), reduction="sum")


SPEC = LossSpec(
    name="mse",
    title="squared error",
    also=("L2", "mean squared error"),
    family="regression",
    task="regression",
    formula=r"(\hat y-y)^2",
    input_space="values",
    function=F.mse_loss,
    module=torch.nn.MSELoss,
    arguments=(Argument("input", "values"), Argument("target", "real")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where prediction and target agree",
    elicits="mean",
    claims=(
        Claim("convex"),
        Claim("smooth", 2.0),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
    ),
    gradient=lambda input, target, options: 2 * (input - target),
    logit_hessian=lambda input, target, options: torch.diag_embed(torch.full_like(input, 2.0)),
    chance=variance_chance,
    floor=zero_floor,
    exceptions={
        "broadcasting": "torch broadcasts, with a warning",
        "empty-batch": "as PyTorch does everywhere",
    },
    signatures=(Signature(("MseLoss",), _fused), Signature(("Pow", "Mul"), _square)),
    references=("https://doi.org/10.1198/016214506000001437",),
    examples=(
        Example("F.mse_loss(x, t)", "((x - t) ** 2).mean()"),
        Example("F.mse_loss(x, t, reduction='sum')", "((x - t) ** 2).sum()", "sum"),
        Example("F.mse_loss(t, x)", "((x - t) ** 2).mean()"),
        Example("((x - t) ** 2).mean()", "F.mse_loss(x, t)"),
        Example("(t - x).square().mean()", "F.mse_loss(x, t)"),
        Example("((x - t) * (x - t)).mean()", "F.mse_loss(x, t)"),
        Example("(x - t).abs().pow(2).mean()", "F.mse_loss(x, t)"),
        Example("torch.norm(x - t) ** 2", "F.mse_loss(x, t, reduction='sum')", "sum"),
        Example("0.5 * ((x - t) ** 2).sum() / x.numel()", "F.mse_loss(x, t)", coefficient=0.5),
        Example(
            "((x - t) ** 2).sum(1).mean()", "F.mse_loss(x, t, reduction='sum') / x.shape[0]", "batchmean"
        ),
        Example(
            "F.mse_loss(x[:, :1], t[:, 0])",
            "((x[:, :1] - t[:, 0]) ** 2).mean()",
            notes=("shape-broadcast",),
        ),
        Example(
            "((x[:, :1] - t[:, 0]) ** 2).mean()", "F.mse_loss(x[:, :1], t[:, 0])", notes=("shape-broadcast",)
        ),
        Example(
            "(((x - t) ** 2) * m).sum() / m.sum()",
            "((x - t) ** 2)[m.bool()].mean()",
            "masked-mean",
        ),
        Example("((x - t) ** 2)[m.bool()].mean()", "((x - t) ** 2 * m).sum() / m.sum()"),
    ),
    twins=(
        Twin("((x - t) ** 4).mean()", "unknown"),
        Twin("((x - t) * (x + t)).mean()", "unknown"),
        Twin("torch.norm(x - t, p=3) ** 2", "unknown"),
    ),
)
