"""Jensen-Shannon divergence of two predicted distributions: ½ KL(p‖m) + ½ KL(q‖m) with m = (p + q)/2.

Symmetric, and bounded by ln 2 ≈ 0.693, which it reaches where p and q share no class: unlike the Kullback-Leibler
divergence it cannot explode, and it also cannot tell far from farther there (its gradient vanishes). Its root is a
metric. Both sides are given as logits; logarithms of probabilities are logits too.
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

__all__ = ["SPEC", "JensenShannonLoss", "jensen_shannon_loss"]


def jensen_shannon_loss(input: Tensor, target: Tensor, *, dim: int = 1, reduction: str = "mean") -> Tensor:
    """Jensen-Shannon divergence of softmax(``input``) and softmax(``target``) along ``dim``, in nats.

    Both are logits of one shape; classes run along ``dim`` (1), every other position is a sample. Logits of -∞ are
    probabilities 0. Lin 1991, doi:10.1109/18.61115.

    >>> a, b = torch.tensor([[50.0, 0.0]]), torch.tensor([[0.0, 50.0]])
    >>> round(float(jensen_shannon_loss(a, b)), 4), float(jensen_shannon_loss(a, a))
    (0.6931, 0.0)
    """
    same_shape(input, target)
    input, target = full_precision(input, target)
    log_p, log_q = input.log_softmax(dim), target.to(input.dtype).log_softmax(dim)
    log_m = torch.stack([log_p, log_q]).logsumexp(0) - math.log(2)
    return reduce(0.5 * (_relative(log_p, log_m) + _relative(log_q, log_m)).sum(dim), reduction)


def _relative(log_p: Tensor, log_m: Tensor) -> Tensor:
    """p (ln p - ln m), 0 for p = 0."""
    none = log_p == -math.inf
    return log_p.exp() * torch.where(none, 0.0, log_p - torch.where(none, 0.0, log_m))


JensenShannonLoss = as_module(jensen_shannon_loss, "JensenShannonLoss")

SPEC = LossSpec(
    name="jensen_shannon",
    title="Jensen-Shannon divergence",
    family="distribution",
    task="distribution",
    formula=r"\tfrac12\sum_k p_k\ln\tfrac{2p_k}{p_k+q_k}+\tfrac12\sum_k q_k\ln\tfrac{2q_k}{p_k+q_k}",
    input_space="logits",
    function=jensen_shannon_loss,
    module=JensenShannonLoss,
    arguments=(Argument("input", "logits"), Argument("target", "teacher-logits")),
    variants=({"reduction": "sum"},),
    range=(0.0, math.log(2)),
    attained="where both distributions agree",
    normaliser=lambda options: math.log(2),
    unit="nats",
    elicits="distribution",
    claims=(
        Claim("convex", holds=False, why="it levels off at ln 2"),
        Claim("symmetric"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
    ),
    denominator="number of samples",
    floor=zero_floor,
    references=("https://doi.org/10.1109/18.61115",),
)
