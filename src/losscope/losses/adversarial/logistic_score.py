"""Logistic loss of scores with one label for all: softplus(-s) or softplus(s).

The halves of the non-saturating GAN game. Neither player's value is progress: at equilibrium each half
of the discriminator's loss is ln 2.
"""

import math

from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.ranking.pairwise_logistic import is_difference
from losscope.losses.spec import Combination, Example, LossSpec, Reading, Twin


def _match(part: Part, parts: list[Part]) -> Reading | None:
    """A log-sigmoid or softplus that nothing else has claimed and no target weights."""
    del parts
    inner = part.node.inputs[0]
    if inner is None or part.weights or is_difference(inner) or part.node.option("beta", 1) != 1:
        return None
    return Reading(
        prediction=inner,
        tensor=output(inner),
        sign=-1.0 if part.node.op == "LogSigmoid" else 1.0,
        consumed=(part,),
    )


SPEC = LossSpec(
    name="logistic_score",
    title="logistic loss of scores",
    family="adversarial",
    task="game",
    formula=r"\ln(1+e^{\mp s})",
    input_space="scores",
    range=(0.0, math.inf),
    value_is_progress=False,
    combinations=(Combination(("Softplus", "LogSigmoid"), _match),),
    references=("https://arxiv.org/abs/1406.2661",),
    examples=(
        Example("F.softplus(-x).mean()", "-F.logsigmoid(x).mean()"),
        Example("-F.logsigmoid(x).mean()", "F.softplus(-x).mean()"),
    ),
    twins=(Twin("(F.softplus(x) - t * x).mean()", "binary_cross_entropy_with_logits"),),
)
