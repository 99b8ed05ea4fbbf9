"""PPO's clipped surrogate -min(r·A, clip(r, 1-ε, 1+ε)·A) for the probability ratio r.

At the first epoch of every batch r = 1 and the value is **-mean(A)**, whatever the policy, 0 with normalised
advantages: not progress. Beyond the clip the gradient is 0 only on the side where the ratio has gained; a ratio that
has gone the wrong way is always drawn back.
"""

import math

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.reinforcement.clipped_ratio import clipped_surrogate
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

__all__ = ["SPEC", "PPOClipLoss", "ppo_clip_loss"]


def ppo_clip_loss(
    input: Tensor,
    old: Tensor,
    advantages: Tensor,
    *,
    clip: float = 0.2,
    clip_high: float | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-min(rA, clip(r, 1-clip, 1+clip_high)A) with r = exp(input - old), for log-probabilities of taken actions.

    ``old`` are those of the policy that sampled; they and the advantages are constants. Schulman et al.,
    arXiv:1707.06347, eq. 7.

    >>> import torch
    >>> lp = torch.log(torch.tensor([0.3, 0.6]))
    >>> round(float(ppo_clip_loss(lp, torch.log(torch.tensor([0.2, 0.5])), torch.tensor([1.0, 0.0]))), 4)  # -1.2/2
    -0.6
    """
    require_not_negative(clip=clip)
    same_shape(input, old, ("input", "old"))
    same_shape(input, advantages, ("input", "advantages"))
    input, old, advantages = full_precision(input, old.detach(), advantages.detach())
    losses = clipped_surrogate(input - old, advantages, clip, clip if clip_high is None else clip_high)
    return reduce(losses, reduction)


PPOClipLoss = as_module(ppo_clip_loss, "PPOClipLoss")


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
    also=("PPO",),
    family="reinforcement",
    task="reinforcement",
    formula=r"-\min(rA,\operatorname{clip}(r,1-\epsilon,1+\epsilon)A)",
    input_space="any",
    function=ppo_clip_loss,
    module=PPOClipLoss,
    arguments=(
        Argument("input", "log-likelihoods"),
        Argument("old", "reference-log-likelihoods"),
        Argument("advantages", "advantages"),
    ),
    variants=({"clip": 0.1}, {"clip_high": 0.28}, {"reduction": "sum"}),
    range=(-math.inf, math.inf),
    attained="-(1+ε)A where A > 0; (1-ε)|A| is the least where A < 0",
    claims=(Claim("permutation-equivariant"), Claim("convex", holds=False)),
    denominator="number of actions",
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
