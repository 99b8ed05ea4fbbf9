"""GRPO: PPO's clipped surrogate per token, with advantages that are normalised within a group of answers to one prompt.

Reward minus the mean of the group, divided by its standard deviation: the advantages sum to 0 in every group, so
that at the first epoch (ratio 1) the surrogate is **0 by construction, whatever the policy**, up to the lengths of
the answers. What is left of the value is β·KL to the reference, which starts at 0 and *grows* while training goes
well. The value is **not progress**; the mean reward is. A group whose rewards are all equal has advantages of 0 and
teaches nothing.

The KL term is Schulman's k3, e^d - d - 1 with d = ln π_ref - ln π, never negative and unbiased for samples of π.
``average`` "sequence" is the mean over the tokens of an answer, then over answers (as published: tokens of long
answers count less); "token" is the mean over all tokens (DAPO).
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_not_negative
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.reinforcement.clipped_ratio import clipped_surrogate
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "GRPOLoss", "group_advantages", "grpo_loss"]


def group_advantages(
    rewards: Tensor, *, group_size: int | None = None, scale: bool = True, epsilon: float = 1e-4
) -> Tensor:
    """(R - mean)/(std + ε) of ``rewards`` [N] within consecutive groups of ``group_size``, default one group; detached.

    ``scale=False`` only subtracts the mean (Dr. GRPO, arXiv:2503.20783). The standard deviation divides by size - 1.

    >>> import torch
    >>> group_advantages(torch.tensor([0.0, 1.0, 5.0, 5.0]), group_size=2, scale=False).tolist()
    [-0.5, 0.5, 0.0, 0.0]
    """
    size = len(rewards) if group_size is None else group_size
    if rewards.dim() != 1 or (size and len(rewards) % size):
        raise BadUsage(
            "rewards [N] must be whole groups",
            seen=f"{tuple(rewards.shape)} in groups of {size}",
            remedy="give group_size answers for each prompt, one after the other",
        )
    groups = rewards.detach().reshape(-1, max(size, 1))
    centred = groups - groups.mean(1, keepdim=True)
    if scale:
        variance = centred.square().sum(1, keepdim=True) / max(size - 1, 1)
        centred = centred / (variance.sqrt() + epsilon)
    return centred.reshape(-1)


def grpo_loss(
    input: Tensor,
    old: Tensor,
    reference: Tensor,
    rewards: Tensor,
    mask: Tensor,
    *,
    group_size: int | None = None,
    clip: float = 0.2,
    clip_high: float | None = None,
    beta: float = 0.04,
    scale: bool = True,
    average: str = "sequence",
    reduction: str = "mean",
) -> Tensor:
    """Clipped surrogate + β·k3 per token, for log-probabilities ``input``, ``old``, ``reference`` [N, T] of tokens.

    ``rewards`` [N] of whole answers, ``mask`` [N, T] 1 for tokens of the answer (others may hold anything);
    ``clip`` and ``clip_high`` bound the ratio to the policy that sampled (``old``). "none" gives [N], or [N, T] for
    ``average="token"``. Shao et al., arXiv:2402.03300, eq. 3 and 4; ``clip_high`` as in DAPO, arXiv:2503.14476.

    >>> import torch
    >>> lp, mask = torch.full((4, 3), -2.0), torch.ones(4, 3)
    >>> abs(round(float(grpo_loss(lp, lp, lp, torch.tensor([0.0, 1.0, 1.0, 3.0]), mask)), 5))
    0.0
    """
    require_not_negative(clip=clip, beta=beta)
    if average not in ("sequence", "token"):
        raise BadUsage("unknown average", seen=repr(average), remedy="use 'sequence' or 'token'")
    for other in (old, reference, mask):
        same_shape(input, other, ("input", "old, reference and mask"))
    input, old, reference, rewards = full_precision(input, old, reference, rewards)
    real = mask != 0
    policy, old, reference = (torch.where(real, x, 0.0) for x in (input, old.detach(), reference.detach()))
    advantages = group_advantages(rewards, group_size=group_size, scale=scale).to(policy.dtype)
    losses = clipped_surrogate(
        policy - old, advantages[:, None], clip, clip if clip_high is None else clip_high
    )
    if beta:
        distance = reference - policy
        losses = losses + beta * (distance.expm1() - distance)
    weight = real.to(losses.dtype)
    if average == "token":
        return reduce(losses, reduction, weight)
    return reduce((losses * weight).sum(1) / weight.sum(1).clamp(min=1), reduction)


GRPOLoss = as_module(grpo_loss, "GRPOLoss")

SPEC = LossSpec(
    name="grpo",
    title="group-relative policy optimisation",
    family="reinforcement",
    task="reinforcement",
    formula=r"-\min(r_tA,\operatorname{clip}(r_t,1-\epsilon,1+\epsilon)A)+\beta(e^{d_t}-d_t-1)",
    input_space="log-likelihoods",
    function=grpo_loss,
    module=GRPOLoss,
    arguments=(
        Argument("input", "log-likelihoods", axes="N M"),
        Argument("old", "reference-log-likelihoods", axes="N M"),
        Argument("reference", "reference-log-likelihoods", axes="N M"),
        Argument("rewards", "advantages"),
        Argument("mask", "binary", axes="N M", as_role="fixed"),
    ),
    exceptions={
        "ignored": "an answer without tokens still counts as one of its group: advantages are relative to the group"
    },
    variants=({"beta": 0.0}, {"average": "token"}, {"scale": False}),
    range=(-math.inf, math.inf),
    attained="nowhere: the ratio of answers with a negative advantage is bounded below only by the clip",
    value_is_progress=False,
    claims=(Claim("permutation-equivariant"),),
    gradient_kind="exact",
    batch_coupled=True,
    denominator="number of answers, after the number of their tokens; or number of tokens",
    references=(
        "https://arxiv.org/abs/2402.03300",
        "https://arxiv.org/abs/2503.20783",
        "https://arxiv.org/abs/2503.14476",
    ),
)
