"""Logistic loss of scores with one label for all: softplus(-s) or softplus(s).

The halves of the GAN game; ``saturating`` marks the generator's minimax form ln(1 - σ(s)), which is
negative and has no lower bound. Neither player's value is progress: at equilibrium each half
of the discriminator's loss is ln 2.
"""

import math

from losscope.losses.graph.log_sigmoid import OPS, log_sigmoid
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.ranking.pairwise_logistic import is_difference
from losscope.losses.spec import Combination, Example, LossSpec, Reading, Twin


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
    family="adversarial",
    task="game",
    formula=r"\ln(1+e^{\mp s})",
    input_space="scores",
    range=(-math.inf, math.inf),
    value_is_progress=False,
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
