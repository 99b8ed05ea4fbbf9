"""Hinge loss max(0, m - s): a margin on scores, of signs times scores, or of a difference of scores.

Written with ``relu``, ``clamp(min=0)`` or ``maximum``. The binary form is max(0, 1 - y·s); a GAN's
discriminator uses it on real and on generated samples.
"""

import math

from losscope.losses.graph.margins import hinge_argument, inner_parts
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _match(part: Part) -> Reading | None:
    """A hinge of one score plus a constant."""
    argument = hinge_argument(part.node)
    if argument is None or not (part.means or part.sums or part.node.numel == 1):
        return None
    parts, constant = inner_parts(argument)
    if len(parts) != 1 or not (constant or parts[0].scale < 0):
        return None
    score = parts[0].node
    if score.op in ("Sub", "Add", "leaf"):
        return None
    target = parts[0].weights[0] if len(parts[0].weights) == 1 else None
    signs = target is not None and bool((target.abs() == 1).all())
    return Reading(
        prediction=score,
        tensor=output(score),
        target=target if signs else None,
        options={"target": "real"} if signs else {},
    )


SPEC = LossSpec(
    name="hinge",
    title="hinge loss",
    family="ranking",
    task="binary",
    formula=r"\max(0,\,1-y s)",
    input_space="scores",
    range=(0.0, math.inf),
    floor=zero_floor,
    signatures=(Signature(("Relu", "ClampMin", "Clamp", "Maximum"), _match),),
    references=("https://doi.org/10.1007/BF00994018", "https://arxiv.org/abs/1705.02894"),
    examples=(
        Example("F.relu(1 - g * x).mean()", "(1 - g * x).clamp(min=0).mean()"),
        Example("(1 - x).clamp(min=0).mean()", "F.relu(1 - x).mean()"),
        Example("F.relu(1 + x).mean()", "(1 + x).clamp(min=0).mean()"),
        Example("torch.maximum(torch.zeros(()), 1 - g * x).mean()", "F.relu(1 - g * x).mean()"),
    ),
    twins=(
        Twin("x.relu().mean()", "unknown"),
        Twin("(1 - x).clamp(min=0, max=1).mean()", "unknown"),
        Twin("(1 - x).clamp(min=0.5).mean()", "unknown"),
    ),
)
