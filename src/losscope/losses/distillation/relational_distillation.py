"""Relational distillation (RKD-D): the distances among a student's embeddings should have the teacher's proportions.

Huber loss of the pairwise distances of student and teacher, each divided by the mean distance of its batch: so the
spaces may have different dimensions and scales. 0 where the student's batch is a scaled copy of the teacher's, up to
rotation. At **collapse** (all student embeddings equal, distances 0) it is the mean Huber loss of the teacher's
relative distances, about ½ and more, since those have mean 1. Depends on the batch: distances are relative to its
mean.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.errors import BadUsage
from losscope.losses.arguments import Argument
from losscope.losses.contrastive.pairs import distances, require_rows
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec

__all__ = ["SPEC", "RelationalDistillationLoss", "relational_distillation_loss"]


def relational_distillation_loss(input: Tensor, target: Tensor) -> Tensor:
    """Mean Huber loss over pairs i ≠ j of relative distances in ``input`` [N, D] and ``target`` [N, E], a scalar.

    Park et al., arXiv:1904.05068, eq. 5 to 7 (the distance-wise part). Authors' code also counts the N zero distances.

    >>> import torch
    >>> teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> float(relational_distillation_loss(3 * teacher, teacher)) < 1e-12
    True
    """
    require_rows(input)
    require_rows(target, name="target")
    if len(input) != len(target):
        raise BadUsage(
            "student and teacher must embed the same samples",
            seen=f"{tuple(input.shape)} and {tuple(target.shape)}",
            remedy="[N, D] and [N, E]",
        )
    student, teacher = (_relative_distances(x) for x in full_precision(input, target))
    pairs = 1 - torch.eye(len(input), dtype=student.dtype, device=student.device)
    return reduce(F.huber_loss(student, teacher.to(student.dtype), reduction="none"), "mean", pairs)


def _relative_distances(x: Tensor) -> Tensor:
    d = distances(x, x)
    mean = d.sum() / max(1, len(x) * (len(x) - 1))
    return d / mean.masked_fill(mean == 0, 1.0)


RelationalDistillationLoss = as_module(relational_distillation_loss, "RelationalDistillationLoss")

SPEC = LossSpec(
    name="relational_distillation",
    title="relational distillation",
    family="distillation",
    task="distillation",
    formula=r"\mathrm{Huber}\Bigl(\frac{\|s_i-s_j\|}{\bar d_S}-\frac{\|t_i-t_j\|}{\bar d_T}\Bigr)",
    input_space="embeddings",
    function=relational_distillation_loss,
    module=RelationalDistillationLoss,
    arguments=(Argument("input", "embeddings"), Argument("target", "real")),
    range=(0.0, math.inf),
    attained="where the student's embeddings are a scaled and rotated copy of the teacher's",
    floor=zero_floor,
    claims=(
        Claim("scale-invariant"),
        Claim("symmetric"),
        Claim("permutation-equivariant"),
        Claim("convex", holds=False),
    ),
    batch_coupled=True,
    denominator="number of pairs",
    references=("https://arxiv.org/abs/1904.05068",),
)
