"""PPO's clipped value loss: ½ max((v - R)², (clip(v, v_old ± ε) - R)²).

The value function may not move far from where it was at sampling, unless it moves away from the return: the larger
of both errors counts. Where v lies beyond the clip and nearer to R, the gradient is 0 though the error is not.
½Var(R) for a value function that is constant. ε has the units of the returns, so that 0.2 freezes a value function
whose returns are in the hundreds.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "ClippedValueLoss", "clipped_value_loss"]


def clipped_value_loss(
    input: Tensor, old: Tensor, target: Tensor, *, clip: float = 0.2, reduction: str = "mean"
) -> Tensor:
    """The larger squared error of ``input`` and of ``input`` clipped to ``old`` ± clip, halved; ``target`` are returns.

    Schulman et al., in OpenAI baselines' PPO2; Engstrom et al., arXiv:2005.12729, section 3.

    >>> import torch
    >>> v, old, returns = torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([1.0])
    >>> round(float(clipped_value_loss(v, old, returns)), 4)  # ½(0.2 - 1)²
    0.32
    """
    require_not_negative(clip=clip)
    same_shape(input, old, ("input", "old"))
    same_shape(input, target)
    input, old, target = full_precision(input, old, target)
    clipped = old + (input - old).clamp(-clip, clip)
    return reduce(0.5 * torch.maximum((input - target).square(), (clipped - target).square()), reduction)


ClippedValueLoss = as_module(clipped_value_loss, "ClippedValueLoss")

SPEC = LossSpec(
    name="clipped_value",
    title="PPO's clipped value loss",
    family="reinforcement",
    task="reinforcement",
    formula=r"\tfrac12\max\bigl((v-R)^2,(\operatorname{clip}(v,v_\text{old}\pm\epsilon)-R)^2\bigr)",
    input_space="values",
    function=clipped_value_loss,
    module=ClippedValueLoss,
    arguments=(
        Argument("input", "scores"),
        Argument("old", "advantages"),
        Argument("target", "real", axes="N"),
    ),
    variants=({"clip": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where the value equals the return and was within ε of it",
    value_is_progress=False,
    floor=zero_floor,
    claims=(Claim("permutation-equivariant"),),
    denominator="number of steps",
    references=("https://arxiv.org/abs/2005.12729",),
)
