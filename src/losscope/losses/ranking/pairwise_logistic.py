"""Pairwise logistic loss -ln σ(a - b): the better item's score a should exceed b (RankNet, BPR, DPO).

With equal scores (**chance**, **collapse**) it is **ln 2 = 0.693**. In RankNet a pair may also be a tie or
uncertain: its label is then a probability and the floor the entropy of that; here the first score is always the
better one. Only differences count, so that the level of the scores drifts freely.
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.graph.linear import parts_of
from losscope.losses.graph.log_sigmoid import OPS, log_sigmoid
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Options, Reading, Signature, Twin
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "PairwiseLogisticLoss", "pairwise_logistic_loss"]


def pairwise_logistic_loss(better: Tensor, worse: Tensor, *, reduction: str = "mean") -> Tensor:
    """softplus(worse - better) for the scores of two items, of one shape.

    Burges et al. 2005, doi:10.1145/1102351.1102363.

    >>> import torch
    >>> round(float(pairwise_logistic_loss(torch.tensor([4.0]), torch.tensor([4.0])).exp()), 5)
    2.0
    """
    same_shape(better, worse, ("better", "worse"))
    better, worse = full_precision(better, worse)
    return reduce(F.softplus(worse - better), reduction)


PairwiseLogisticLoss = as_module(pairwise_logistic_loss, "PairwiseLogisticLoss")


def _match(part: Part) -> Reading | None:
    """ln σ(d) to be maximised, or softplus(-d), of a difference d of scores."""
    found = log_sigmoid(part.node)
    if found is None or part.weights or not is_difference(found.scores):
        return None
    return Reading(prediction=found.scores, tensor=output(found.scores), sign=-found.sign)


def is_difference(node: Node) -> bool:
    """Whether the parts of ``node`` come in pairs of opposite sign."""
    parts = parts_of(node, lambda part: part.node.op in ("Sum", "Mean")).parts
    total = sum(part.scale for part in parts)
    return len(parts) in (2, 4) and abs(total) <= 1e-6 * max(abs(p.scale) for p in parts)


def _chance(stats: TargetStats, options: Options) -> Estimate:
    del stats, options
    return Estimate(math.log(2))


SPEC = LossSpec(
    name="pairwise_logistic",
    title="pairwise logistic loss",
    also=("RankNet", "BPR"),
    family="ranking",
    task="ranking",
    formula=r"-\ln\sigma(a-b)",
    input_space="scores",
    function=pairwise_logistic_loss,
    module=PairwiseLogisticLoss,
    arguments=(Argument("better", "scores"), Argument("worse", "scores")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    unit="nats",
    claims=(
        Claim("convex"),
        Claim("lipschitz", math.sqrt(2)),
        Claim("smooth", 0.5),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of pairs",
    chance=_chance,
    floor=zero_floor,
    signatures=(Signature(OPS, _match),),
    references=("https://doi.org/10.1145/1102351.1102363", "https://arxiv.org/abs/2305.18290"),
    examples=(
        Example("-F.logsigmoid(x - u).mean()", "F.softplus(u - x).mean()"),
        Example("-(x - u).sigmoid().log().mean()", "F.softplus(u - x).mean()"),
        Example(
            "-F.logsigmoid(0.1 * ((x - t) - (u - s))).mean()", "F.softplus(-0.1 * (x - t - u + s)).mean()"
        ),
    ),
    twins=(
        Twin("-F.logsigmoid(x).mean()", "logistic_score"),
        Twin("-F.logsigmoid(x + u).mean()", "logistic_score"),
    ),
)
