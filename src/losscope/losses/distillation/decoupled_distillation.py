"""Decoupled knowledge distillation: the KL of teacher and student, split at the target class and weighted anew.

``T²(α·TCKD + β·NCKD)``: TCKD is the KL of (target, all others), NCKD the KL among the other classes. Hinton's loss is
TCKD + (1 - q_y)·NCKD: a sure teacher (q_y near 1) suppresses what it knows about the other classes, which β no longer
does. 0 where student and teacher agree. β = 8 makes the value several times Hinton's; it is not comparable with it.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "DecoupledDistillationLoss", "decoupled_distillation_loss"]


def decoupled_distillation_loss(
    input: Tensor,
    teacher: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
    reduction: str = "mean",
) -> Tensor:
    """T²(α·TCKD + β·NCKD) for logits ``input`` and ``teacher`` [N, C] and classes ``target`` [N]; "none" gives [N].

    Zhao et al., arXiv:2203.08679, eq. 7.

    >>> import torch
    >>> z = torch.eye(3)
    >>> float(decoupled_distillation_loss(z + 1.0, z, torch.tensor([0, 1, 2]))) < 1e-5
    True
    """
    require_positive(temperature=temperature)
    same_shape(input, teacher, ("input", "teacher"))
    input, teacher = full_precision(input, teacher)
    own_student, rest_student = _split(input / temperature, target)
    own_teacher, rest_teacher = _split(teacher / temperature, target)
    at_target = _kl(own_teacher, own_student)
    among_others = _kl(rest_teacher, rest_student)
    return reduce(temperature**2 * (alpha * at_target + beta * among_others), reduction)


def _split(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """ln of (target, others) [N, 2], and ln of the distribution among the others [N, C], -inf at the target."""
    at_target = torch.arange(logits.shape[1], device=logits.device) == target[:, None]
    others = logits.masked_fill(at_target, -math.inf)
    total = others.logsumexp(1, keepdim=True)
    two = torch.cat([logits.gather(1, target[:, None]), total], 1)
    return two.log_softmax(1), others - total


def _kl(teacher: Tensor, student: Tensor) -> Tensor:
    """KL over the last axis of distributions given by their logarithms; -inf is probability 0 in both."""
    possible = teacher > -math.inf
    difference = torch.where(possible, teacher, 0.0) - torch.where(possible, student, 0.0)
    return (teacher.exp() * difference).sum(1)


DecoupledDistillationLoss = as_module(decoupled_distillation_loss, "DecoupledDistillationLoss")

SPEC = LossSpec(
    name="decoupled_distillation",
    title="decoupled knowledge distillation",
    also=("DKD",),
    family="distillation",
    task="distillation",
    formula=r"T^2\bigl(\alpha\,\mathrm{KL}(b^T\|b^S)+\beta\,\mathrm{KL}(\hat q\|\hat p)\bigr)",
    input_space="logits",
    function=decoupled_distillation_loss,
    module=DecoupledDistillationLoss,
    arguments=(
        Argument("input", "logits"),
        Argument("teacher", "teacher-logits"),
        Argument("target", "class-index"),
    ),
    variants=({"temperature": 1.0}, {"beta": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where student and teacher logits agree up to a constant",
    floor=zero_floor,
    unit="nats",
    claims=(Claim("shift-invariant"), Claim("permutation-equivariant")),
    denominator="number of samples",
    references=("https://arxiv.org/abs/2203.08679",),
)
