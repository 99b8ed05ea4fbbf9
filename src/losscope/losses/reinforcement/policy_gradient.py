"""Policy-gradient surrogate -mean(ln π(a) · A): log-probabilities of taken actions times advantages.

Its gradient is the policy gradient; its value means nothing, since the advantages change with the
policy. It is told from a weighted cross-entropy by weights of both signs, or by per-step weights on the
form that ``torch.distributions`` makes.
"""

import math
from dataclasses import replace

from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.classification.class_forms import has_advantages, picked_log_probabilities
from losscope.losses.graph.part import Part
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.spec import Example, LossSpec, Reading, Signature, Twin

__all__ = ["SPEC", "PolicyGradientLoss", "policy_gradient_loss"]


def policy_gradient_loss(
    input: Tensor, target: Tensor, advantages: Tensor, *, reduction: str = "mean"
) -> Tensor:
    """-A ln softmax(input)[action] for logits [N, C], actions ``target`` [N] and advantages [N], which are constants.

    Williams 1992, doi:10.1007/BF00992696.

    >>> import torch
    >>> round(float(policy_gradient_loss(torch.zeros(1, 4), torch.tensor([2]), torch.tensor([2.0])).exp()), 4)  # 4²
    16.0
    """
    same_shape(target, advantages, ("target", "advantages"))
    input, advantages = full_precision(input, advantages.detach())
    taken = input.log_softmax(1).gather(1, target[:, None])[:, 0]
    return reduce(-advantages * taken, reduction)


PolicyGradientLoss = as_module(policy_gradient_loss, "PolicyGradientLoss")


def _match(part: Part) -> Reading | None:
    reading = picked_log_probabilities(part)
    if reading is None or not has_advantages(part.weights, reading):
        return None
    options = {"num_classes": reading.options["num_classes"], "target": "class"}
    return replace(reading, options=options, notes=())


SPEC = LossSpec(
    name="policy_gradient",
    title="policy-gradient surrogate",
    also=("REINFORCE",),
    family="reinforcement",
    task="reinforcement",
    formula=r"-A\ln\pi(a)",
    input_space="logits",
    function=policy_gradient_loss,
    module=PolicyGradientLoss,
    arguments=(
        Argument("input", "logits"),
        Argument("target", "class-index"),
        Argument("advantages", "advantages"),
    ),
    variants=({"reduction": "sum"},),
    range=(-math.inf, math.inf),
    attained="nowhere: actions with a negative advantage are pushed away without end",
    claims=(
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim("convex", holds=False, why="concave where the advantage is negative"),
    ),
    denominator="number of actions",
    value_is_progress=False,
    signatures=(Signature(("Gather", "Index"), _match),),
    references=("https://doi.org/10.1007/BF00992696",),
    examples=(
        Example(
            "-(torch.distributions.Categorical(logits=x).log_prob(y) * a).mean()",
            "-(x.log_softmax(1).gather(1, y[:, None])[:, 0] * a).mean()",
        ),
    ),
    twins=(Twin("-torch.distributions.Categorical(logits=x).log_prob(y).mean()", "cross_entropy"),),
)
