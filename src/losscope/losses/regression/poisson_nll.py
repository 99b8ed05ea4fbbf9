"""Poisson negative log-likelihood of counts: e^z - y·z for a log-rate z, or λ - y·ln λ for a rate.

PyTorch: ``F.poisson_nll_loss``. The term ln y! is left out unless ``full=True`` (Stirling), so the value
may be negative and its floor depends on the targets.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.constants import product
from losscope.losses.graph.forms import strip
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.spec import Combination, Example, LossSpec, Options, Reading, Twin
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats
from losscope.losses.xlogy import xlogy


def _opposite(first: Part, second: Part) -> bool:
    return abs(first.scale + second.scale) <= 1e-6 * abs(first.scale)


def _log_rate(first: Part, parts: list[Part]) -> Reading | None:
    """exp(z) - y·z."""
    scores = first.node.inputs[0]
    if scores is None or first.weights:
        return None
    for part in parts:
        target = product(part.weights)
        if target is None or not _opposite(first, part) or strip(part.node) is not strip(scores):
            continue
        return Reading(
            prediction=scores,
            tensor=output(scores),
            target=target.expand(part.node.shape),
            options={"target": "real", "log_input": True},
            consumed=(first, part),
            absorbs_constant=True,
        )
    return None


def _rate(first: Part, parts: list[Part]) -> Reading | None:
    """λ - y·ln(λ + ε); begins at the logarithm."""
    inner = first.node.inputs[0]
    target = product(first.weights)
    if inner is None or target is None:
        return None
    rate = inner.skip(frozenset({"Add", "Clamp", "ClampMin"}))
    for part in parts:
        if part.weights or not _opposite(first, part) or strip(part.node) is not strip(rate):
            continue
        return Reading(
            prediction=rate,
            tensor=output(rate),
            target=target.expand(first.node.shape),
            options={"target": "real", "log_input": False},
            weights=(),
            sign=-1.0,
            consumed=(first, part),
            absorbs_constant=True,
        )
    return None


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """The best constant rate is the mean m: the loss is m - m ln m."""
    del options
    moments = stats.columns
    if moments.weight <= 0 or (moments.mean < 0).any():
        return None
    mean = moments.mean
    error = of_rows((mean - xlogy(stats.sample.rows, mean)).mean(1), stats)
    return Estimate(float((mean - xlogy(mean, mean)).mean()), error)


def _floor(options: Options, stats: TargetStats | None) -> float | None:
    """The rate equals each target: y - y ln y."""
    del options
    if stats is None or len(stats.sample.rows) == 0 or (stats.sample.rows < 0).any():
        return None
    return float((stats.sample.rows - xlogy(stats.sample.rows, stats.sample.rows)).mean())


SPEC = LossSpec(
    name="poisson_nll",
    title="Poisson negative log-likelihood",
    family="regression",
    task="counts",
    formula=r"e^{z}-y z",
    input_space="scores",
    function=F.poisson_nll_loss,
    module=torch.nn.PoissonNLLLoss,
    arguments=(Argument("input", "values"), Argument("target", "counts")),
    variants=({"reduction": "sum"},),
    range=(-math.inf, math.inf),
    attained="y - y ln y, where the log-rate is ln y (in the limit for y = 0)",
    unit="nats",
    elicits="logarithm of the mean",
    claims=(Claim("convex"), Claim("permutation-equivariant")),
    gradient=lambda input, target, options: input.exp() - target,
    logit_hessian=lambda input, target, options: torch.diag_embed(input.exp()),
    chance=_chance,
    floor=_floor,
    exceptions={
        "broadcasting": "F.poisson_nll_loss broadcasts, without a warning",
        "empty-batch": "as PyTorch does everywhere",
    },
    combinations=(Combination(("Exp",), _log_rate), Combination(("Log",), _rate)),
    references=("https://docs.pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html",),
    examples=(
        Example("F.poisson_nll_loss(x, k)", "(x.exp() - k * x).mean()", options={"log_input": True}),
        Example(
            "F.poisson_nll_loss(p, k, log_input=False)",
            "(p - k * (p + 1e-8).log()).mean()",
            activation="sigmoid",
        ),
        Example("(x.exp() - k * x).sum()", "F.poisson_nll_loss(x, k, reduction='sum')", "sum"),
    ),
    twins=(Twin("(x.exp() + k * x).mean()", "unknown"), Twin("(x.exp() - k * u).mean()", "unknown")),
)
