"""Reverse Kullback-Leibler divergence Σ p (ln p - ln t) of the prediction p from a target distribution t.

Mode-seeking: it is dear to put mass where t has none, and cheap to leave modes of t out; the usual direction
(``kl_div``) covers all modes instead. It is -entropy(p) plus a cross-entropy, so it is the loss of a policy that is
held near a reference. Both sides are logits. Not convex in the logits, and bounded by the largest -ln t.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "ReverseKLLoss", "reverse_kl_loss"]


def reverse_kl_loss(input: Tensor, target: Tensor, *, dim: int = 1, reduction: str = "mean") -> Tensor:
    """KL(softmax(``input``) ‖ softmax(``target``)) along ``dim``, in nats, one value per sample.

    Both are logits of one shape. Logits of -∞ in ``input`` are probabilities 0; in ``target`` alone they give ∞.
    Minka 2005, "Divergence measures and message passing", section 3.

    >>> x, t = torch.tensor([[50.0, 0.0]]), torch.zeros(1, 2)
    >>> round(float(reverse_kl_loss(x, t)), 4)  # ln 2: one of two modes is taken
    0.6931
    """
    same_shape(input, target)
    input, target = full_precision(input, target)
    log_p, log_t = input.log_softmax(dim), target.to(input.dtype).log_softmax(dim)
    none = log_p == -math.inf
    gap = torch.where(none, 0.0, log_p - torch.where(none, 0.0, log_t))
    return reduce((log_p.exp() * gap).sum(dim), reduction)


ReverseKLLoss = as_module(reverse_kl_loss, "ReverseKLLoss")

SPEC = LossSpec(
    name="reverse_kl",
    title="reverse Kullback-Leibler divergence",
    family="distribution",
    task="distribution",
    formula=r"\sum_k p_k(\ln p_k-\ln t_k)",
    input_space="logits",
    function=reverse_kl_loss,
    module=ReverseKLLoss,
    arguments=(Argument("input", "logits"), Argument("target", "teacher-logits")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="where both distributions agree",
    unit="nats",
    elicits="geometric mean of the distributions",
    claims=(Claim("convex", holds=False), Claim("shift-invariant"), Claim("permutation-equivariant")),
    denominator="number of samples",
    floor=zero_floor,
    references=(
        "https://www.microsoft.com/en-us/research/publication/divergence-measures-and-message-passing/",
    ),
)
