"""Logistic loss of scores with one label for all: softplus(-s) or softplus(s).

The halves of the GAN game, and with label 1 the **non-saturating** generator's loss; ``saturating`` marks the
generator's minimax form ln(1 - σ(s)), which is negative and has no lower bound. Its gradient -σ(s) vanishes where the
discriminator is sure that a sample is generated, just where the generator has most to learn. Neither player's value is
progress: at equilibrium each half of the discriminator's loss is ln 2 = 0.693, and the generator's is ln 2 (or -ln 2).
"""

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.log_sigmoid import OPS, log_sigmoid
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.ranking.pairwise_logistic import is_difference
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.spec import Combination, Example, LossSpec, Reading, Twin

__all__ = ["SPEC", "LogisticScoreLoss", "logistic_score_loss"]


def logistic_score_loss(
    input: Tensor, *, real: bool = True, saturating: bool = False, reduction: str = "mean"
) -> Tensor:
    """softplus(-s), or softplus(s) where the label is "generated" (``real=False``), of a discriminator's scores.

    The default is the non-saturating generator's loss; ``saturating`` gives the minimax one, ln(1 - σ(s)) =
    -softplus(s). Goodfellow et al., arXiv:1406.2661, section 3.

    >>> import torch
    >>> round(float(logistic_score_loss(torch.zeros(3)).exp()), 5), round(
    ...     float(logistic_score_loss(torch.zeros(3), saturating=True).exp()), 5
    ... )
    (2.0, 0.5)
    """
    (input,) = full_precision(input)
    if saturating:
        return reduce(-F.softplus(input if real else -input), reduction)
    return reduce(F.softplus(-input if real else input), reduction)


LogisticScoreLoss = as_module(logistic_score_loss, "LogisticScoreLoss")


def _match(part: Part, parts: list[Part]) -> Reading | None:
    """A log-sigmoid or softplus that nothing else has claimed and no target weights."""
    del parts
    found = log_sigmoid(part.node)
    if found is None or part.weights or is_difference(found.scores):
        return None
    options = {"saturating": True} if part.node.op == "Log" and part.scale * found.sign > 0 else {}
    sign = found.sign if options else -found.sign
    return Reading(
        prediction=found.scores, tensor=output(found.scores), options=options, sign=sign, consumed=(part,)
    )


SPEC = LossSpec(
    name="logistic_score",
    title="logistic loss of scores",
    also=("non-saturating GAN", "NSGAN"),
    family="adversarial",
    task="game",
    formula=r"\ln(1+e^{\mp s})",
    input_space="scores",
    function=logistic_score_loss,
    module=LogisticScoreLoss,
    arguments=(Argument("input", "scores"),),
    variants=({"real": False}, {"saturating": True}, {"reduction": "sum"}),
    range=(-math.inf, math.inf),
    attained="in the limit of a discriminator that is wrong for sure; the saturating form falls without end",
    value_is_progress=False,
    unit="nats",
    claims=(
        Claim("convex", why="the saturating form is concave"),
        Claim("lipschitz", 1.0),
        Claim("smooth", 0.25),
        Claim("permutation-equivariant"),
    ),
    combinations=(Combination(OPS, _match),),
    references=("https://arxiv.org/abs/1406.2661",),
    examples=(
        Example("F.softplus(-x).mean()", "-F.logsigmoid(x).mean()"),
        Example("-F.logsigmoid(x).mean()", "F.softplus(-x).mean()"),
        Example("-p.log().mean()", "F.softplus(-x).mean()"),
        Example("(1 - p).log().mean()", "-F.softplus(x).mean()", options={"saturating": True}),
    ),
    twins=(
        Twin("(2 - p).log().mean()", "unknown"),
        Twin("(F.softplus(x) - t * x).mean()", "binary_cross_entropy_with_logits"),
    ),
)
