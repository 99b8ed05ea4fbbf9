"""Mean of a network's raw output: a Wasserstein critic's or generator's loss.

The value is unbounded on both sides and depends on a critic that moves, so it is not progress; its level means
nothing, since a constant added to the critic changes nothing else. Generators of Wasserstein and hinge GANs minimise
the negative.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.layers import LAYERS
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.spec import Combination, Example, LossSpec, Reading, Twin

__all__ = ["SPEC", "MeanScoreLoss", "mean_score_loss"]


def mean_score_loss(input: Tensor, *, maximise: bool = False, reduction: str = "mean") -> Tensor:
    """The scores themselves, or their negatives to ``maximise`` them (a Wasserstein or hinge generator's loss).

    >>> import torch
    >>> float(mean_score_loss(torch.tensor([1.0, 3.0]), maximise=True))
    -2.0
    """
    (input,) = full_precision(input)
    return reduce(-input if maximise else input, reduction)


MeanScoreLoss = as_module(mean_score_loss, "MeanScoreLoss")


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
    function=mean_score_loss,
    module=MeanScoreLoss,
    arguments=(Argument("input", "scores"),),
    variants=({"maximise": True}, {"reduction": "sum"}),
    range=(-math.inf, math.inf),
    attained="nowhere: unbounded",
    claims=(
        Claim("convex"),
        Claim("lipschitz", 1.0),
        Claim("smooth", 0.0, why="linear"),
        Claim("permutation-equivariant"),
    ),
    value_is_progress=False,
    combinations=(Combination(tuple(sorted(LAYERS)), _match),),
    references=("https://arxiv.org/abs/1701.07875",),
    examples=(Example("-x.mean()", "x.mean()", coefficient=-1.0),),
    twins=(Twin("x.exp().mean()", "unknown"),),
)
