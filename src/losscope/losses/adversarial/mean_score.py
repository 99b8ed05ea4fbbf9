"""Mean of a network's raw output: a Wasserstein critic's or generator's loss.

The value is unbounded on both sides and is a difference of two moving scores, so it is not progress.
"""

import math

from losscope.losses.graph.layers import LAYERS
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.spec import Combination, Example, LossSpec, Reading, Twin


def _match(part: Part, parts: list[Part]) -> Reading | None:
    """The output of a layer, unweighted, averaged or summed over a batch."""
    del parts
    if part.node.op not in LAYERS or part.weights or not (part.means or part.sums or part.node.numel == 1):
        return None
    return Reading(prediction=part.node, tensor=output(part.node), consumed=(part,))


SPEC = LossSpec(
    name="mean_score",
    title="mean score",
    family="adversarial",
    task="game",
    formula=r"\mathbb E\,s",
    input_space="scores",
    range=(-math.inf, math.inf),
    value_is_progress=False,
    combinations=(Combination(tuple(sorted(LAYERS)), _match),),
    references=("https://arxiv.org/abs/1701.07875",),
    examples=(Example("-x.mean()", "x.mean()", coefficient=-1.0),),
    twins=(Twin("x.exp().mean()", "unknown"),),
)
