"""PPO's clipped surrogate -min(r·A, clip(r, 1-ε, 1+ε)·A) for the probability ratio r.

At the first epoch of every batch r = 1 and the value is -mean(A), whatever the policy: not progress.
"""

import math

from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin


def _weighted(node: Node | None) -> Node | None:
    """The r of r · constant."""
    if node is None or node.op != "Mul" or len(node.inputs) != 2 or None not in node.inputs:
        return None
    return next((i for i in node.inputs if i is not None), None)


def _match(part: Part) -> Reading | None:
    """min or max of a ratio and its clamp, both times the same constant."""
    sides = [_weighted(child) for child in part.node.inputs]
    if len(sides) != 2 or sides[0] is None or sides[1] is None:
        return None
    for ratio, clipped in ((sides[0], sides[1]), (sides[1], sides[0])):
        if clipped.op == "Clamp" and clipped.inputs[:1] == (ratio,):
            return Reading(
                prediction=ratio,
                tensor=output(ratio),
                sign=-1.0 if part.node.op == "Minimum" else 1.0,
            )
    return None


SPEC = LossSpec(
    name="ppo_clip",
    title="PPO's clipped surrogate",
    family="reinforcement",
    task="reinforcement",
    formula=r"-\min(rA,\operatorname{clip}(r,1-\epsilon,1+\epsilon)A)",
    input_space="any",
    range=(-math.inf, math.inf),
    value_is_progress=False,
    signatures=(Signature(("Minimum", "Maximum"), _match),),
    references=("https://arxiv.org/abs/1707.06347",),
    examples=(
        Example(
            "-torch.min(r * t, torch.clamp(r, 0.8, 1.2) * t).mean()",
            "-torch.minimum(r * t, r.clamp(0.8, 1.2) * t).mean()",
            activation="exp",
        ),
    ),
    twins=(Twin("-torch.min(r * t, torch.clamp(p, 0.8, 1.2) * t).mean()", "unknown"),),
)
