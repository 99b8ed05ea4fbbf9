"""CORAL for ordered classes: Σ_k binary cross-entropy of P(y > k), k = 0 … K-2.

Consistent ranks (P(y > k) falling in k) come from the network, whose K-1 scores share one weight vector and differ by
biases that fall; the loss itself does not enforce them and accepts any scores. Convex. It is a sum of K-1 dependent
log-losses (a composite likelihood), not -ln P(y): values do not compare with cross-entropy or CORN. The best constant
is the share r_k of targets above k and costs Σ H(r_k), at most (K-1) ln 2. Not to be confused with CORAL of domain
adaptation (correlation alignment).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.ordinal import exceeded, tail_rates
from losscope.losses.classification.true_class import over_classes
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "CORALOrdinalLoss", "coral_ordinal_loss"]


def coral_ordinal_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Σ_k BCE(σ(z_k), [y > k]) of scores ``input`` [N, K-1, …] and ranks ``target`` [N, …] in 0 … K-1.

    ``reduction`` "none" gives [N, …]. float16 and bfloat16 are computed and returned in float32. Cao, Mirjalili &
    Raschka 2020, arXiv:1901.07884.

    >>> import torch
    >>> round(float(coral_ordinal_loss(torch.zeros(1, 4), torch.tensor([2]))), 4)  # 4 ln 2
    2.7726
    """
    (input,) = full_precision(input)
    questions = F.binary_cross_entropy_with_logits(input, exceeded(target, input), reduction="none")
    return reduce(questions.sum(min(1, input.dim() - 1)), reduction)


CORALOrdinalLoss = as_module(coral_ordinal_loss, "CORALOrdinalLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    known = tail_rates(stats, options)
    if known is None:
        return None
    rates, tail = known
    above = -np.log(np.where(tail > 0, tail, 1))
    below = -np.log(np.where(tail < 1, 1 - tail, 1))
    greater = np.tri(len(rates), len(rates) - 1, -1)
    return over_classes(rates, greater @ above + (1 - greater) @ below, stats)


def _gradient(input: Tensor, target: Tensor, options: Options) -> Tensor:
    """σ(z_k) - [y > k]."""
    del options
    return input.sigmoid() - exceeded(target, input)


def _logit_hessian(input: Tensor, target: Tensor, options: Options) -> Tensor:
    """Diagonal: σ(1 - σ), whatever the target."""
    del target, options
    return torch.diag_embed(input.sigmoid() * (-input).sigmoid())


SPEC = LossSpec(
    name="coral_ordinal",
    title="CORAL (rank-consistent ordinal regression)",
    family="classification",
    task="ordinal",
    formula=r"-\sum_{k=0}^{K-2}[y>k]\ln\sigma(z_k)+[y\le k]\ln\sigma(-z_k)",
    input_space="logits",
    function=coral_ordinal_loss,
    module=CORALOrdinalLoss,
    arguments=(Argument("input", "logits", axes="N 4"), Argument("target", "ordinal-index")),
    sizes={"C": 5},
    variants=({"reduction": "sum"},),
    range=(0.0, math.inf),
    attained="in the limit of infinite margins",
    elicits="cumulative probabilities P(y > k)",
    claims=(
        Claim("convex"),
        Claim("permutation-equivariant"),
        Claim("lipschitz", 2.0, why="√(K - 1), here of K = 5 classes"),
        Claim("smooth", 0.25),
    ),
    gradient=_gradient,
    logit_hessian=_logit_hessian,
    denominator="number of samples; the K - 1 questions are summed",
    chance=_chance,
    floor=zero_floor,
    normaliser=lambda options: (
        (options["num_classes"] - 1) * math.log(2) if options.get("num_classes", 0) > 1 else None
    ),
    references=("https://arxiv.org/abs/1901.07884",),
)
