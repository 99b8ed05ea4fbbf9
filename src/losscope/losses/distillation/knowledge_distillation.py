"""Knowledge distillation (Hinton): T²·KL of the teacher's softened class probabilities from the student's.

Both softmaxes are taken at temperature T. Gradients of softened logits shrink like 1/T², which the factor T² makes
good, so that T can be changed without changing the weight of the term; forgetting it makes distillation vanish at T
= 4 by 16. 0 where student and teacher agree up to a constant in their logits. For T → ∞ it is ½·mean squared
difference of centred logits, per sample: Σ(z - z̄ - v + v̄)²/(2C). The teacher is not detached here; run it under
``no_grad``. Implementations differ in the reduction: ``F.kl_div(reduction="mean")`` divides by the classes as well,
a C-fold smaller value.
"""

import math

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive
from losscope.losses.reduction import full_precision, reduce, same_shape
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.standard_error import of_rows
from losscope.losses.target_stats import TargetStats
from losscope.losses.xlogy import xlogy

__all__ = ["SPEC", "KnowledgeDistillationLoss", "knowledge_distillation_loss"]


def knowledge_distillation_loss(
    input: Tensor, target: Tensor, *, temperature: float = 4.0, reduction: str = "mean"
) -> Tensor:
    """T² Σ_k q_k (ln q_k - ln p_k), p = softmax(input/T), q = softmax(target/T), for logits [N, C]; "none" gives [N].

    Hinton, Vinyals, Dean, arXiv:1503.02531, section 2.

    >>> import torch
    >>> float(knowledge_distillation_loss(torch.eye(3) + 7.0, torch.eye(3))) < 1e-6
    True
    """
    require_positive(temperature=temperature)
    same_shape(input, target)
    input, target = full_precision(input, target)
    student, teacher = (input / temperature).log_softmax(1), (target / temperature).log_softmax(1)
    return reduce(temperature**2 * (teacher.exp() * (teacher - student)).sum(1), reduction)


KnowledgeDistillationLoss = as_module(knowledge_distillation_loss, "KnowledgeDistillationLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """T² times the mean KL of the teacher's distributions from their mean, the best constant."""
    rows = stats.sample.rows
    if len(rows) == 0 or rows.shape[1] < 2:
        return None
    temperature = float(options.get("temperature", 4.0))
    scaled = rows / temperature
    q = np.exp(scaled - scaled.max(1, keepdims=True))
    q = q / q.sum(1, keepdims=True)
    losses = temperature**2 * (xlogy(q, q) - xlogy(q, np.broadcast_to(q.mean(0), q.shape))).sum(1)
    return Estimate(float(losses.mean()), of_rows(losses, stats))


def _gradient(logits: Tensor, target: Tensor, options: Options) -> Tensor:
    """T(p - q)."""
    temperature = float(options.get("temperature", 4.0))
    return temperature * ((logits / temperature).softmax(1) - (target / temperature).softmax(1))


def _logit_hessian(logits: Tensor, target: Tensor, options: Options) -> Tensor:
    """diag(p) - ppᵀ at temperature T: T² and 1/T² cancel."""
    del target
    p = (logits / float(options.get("temperature", 4.0))).softmax(1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


SPEC = LossSpec(
    name="knowledge_distillation",
    title="knowledge distillation",
    also=("KD", "distillation"),
    family="distillation",
    task="distillation",
    formula=r"T^2\sum_k q_k\ln\frac{q_k}{p_k},\quad p=\operatorname{softmax}(z/T),\;q=\operatorname{softmax}(v/T)",
    input_space="logits",
    function=knowledge_distillation_loss,
    module=KnowledgeDistillationLoss,
    arguments=(Argument("input", "logits"), Argument("target", "teacher-logits")),
    variants=({"temperature": 1.0}, {"reduction": "sum"}),
    range=(0.0, math.inf),
    attained="where student and teacher logits agree up to a constant",
    chance=_chance,
    floor=zero_floor,
    unit="nats",
    claims=(
        Claim("convex"),
        Claim("lipschitz", 4 * math.sqrt(2), why="T√2"),
        Claim("smooth", 0.5),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
    ),
    gradient=_gradient,
    logit_hessian=_logit_hessian,
    denominator="number of samples",
    references=("https://arxiv.org/abs/1503.02531",),
)
