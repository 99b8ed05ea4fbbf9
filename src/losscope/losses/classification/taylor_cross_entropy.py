"""Taylor cross-entropy Σ_{j≤t} (1 - p_y)^j / j: the first t terms of -ln p_y in powers of 1 - p_y.

For noisy labels: t = 1 is 1 - p_y (robust, slow), t → ∞ is cross-entropy. Bounded by the harmonic number H_t, so one
wrong label costs at most H_t. The gradient vanishes at a certainly wrong prediction. Not convex in the scores and
not proper: the minimiser of the expected loss may give a rare class probability 0.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.true_class import (
    class_log_probabilities,
    fitted_class_chance,
    gradient_of,
    hessian_of,
    missing_probability,
    reduce_labelled,
)
from losscope.losses.module import as_module
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "TaylorCrossEntropyLoss", "taylor_cross_entropy_loss"]


def _series(missing: Tensor, order: int) -> Tensor:
    """Σ_{j=1..t} m^j / j by Horner's rule."""
    total = missing / order
    for j in range(order - 1, 0, -1):
        total = missing * (1 / j + total)
    return total


def taylor_cross_entropy_loss(
    input: Tensor, target: Tensor, *, order: int = 2, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """Σ_{j=1..t} (1 - p_y)^j / j of scores ``input`` [N, C, …] and classes ``target`` [N, …]; p is their softmax.

    ``order`` t ≥ 1. Elements with target ``ignore_index`` do not count. float16 and bfloat16 are computed and
    returned in float32. Feng et al., IJCAI 2020, doi:10.24963/ijcai.2020/305.

    >>> import torch
    >>> float(taylor_cross_entropy_loss(torch.zeros(1, 2), torch.tensor([0])))  # ½ + ½/4
    0.625
    """
    _, log_p_y = class_log_probabilities(input, target, ignore_index)
    return reduce_labelled(_series(missing_probability(log_p_y), order), target, ignore_index, reduction)


TaylorCrossEntropyLoss = as_module(taylor_cross_entropy_loss, "TaylorCrossEntropyLoss")


def _order(options: Options) -> int:
    return int(options.get("order", 2))


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    order = _order(options)
    return fitted_class_chance(lambda log_p: _series(missing_probability(log_p), order), stats, options)


def _slope(log_p_y: Tensor, options: Options) -> Tensor:
    """-p Σ_{j<t} m^j."""
    m = missing_probability(log_p_y)
    return -log_p_y.exp() * torch.stack([m**j for j in range(_order(options))]).sum(0)


def _bend(log_p_y: Tensor, options: Options) -> Tensor:
    """-p Σ_{j<t} m^j + p² Σ_{j<t} j m^(j-1)."""
    m, p = missing_probability(log_p_y), log_p_y.exp()
    inner = torch.stack([j * m ** max(j - 1, 0) for j in range(_order(options))]).sum(0)
    return _slope(log_p_y, options) + p * p * inner


SPEC = LossSpec(
    name="taylor_cross_entropy",
    title="Taylor cross-entropy",
    family="classification",
    task="multi-class",
    formula=r"\sum_{j=1}^{t}\frac{(1-p_y)^j}{j}",
    input_space="logits",
    function=taylor_cross_entropy_loss,
    module=TaylorCrossEntropyLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"order": 1}, {"reduction": "sum"}),
    range=(0.0, 1.5),
    attained="in the limit of an infinite margin",
    elicits="a distribution sharper than the class probabilities",
    claims=(
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False),
        Claim("shift-invariant"),
        Claim("calibrated"),
        Claim("permutation-equivariant"),
        Claim(
            "lipschitz",
            2 * math.sqrt(2) / (3 * math.sqrt(3)),
            why="p(2 - p)·‖p - e_y‖₂ ≤ √2 p(1 - p)(2 - p), largest at p = 1 - 1/√3",
        ),
    ),
    gradient=gradient_of(_slope),
    logit_hessian=hessian_of(_slope, _bend),
    denominator="number of targets that are not ignored",
    chance=_chance,
    floor=zero_floor,
    normaliser=lambda options: (
        sum((1 - 1 / options["num_classes"]) ** j / j for j in range(1, _order(options) + 1))
        if options.get("num_classes", 0) > 1
        else None
    ),
    references=("https://doi.org/10.24963/ijcai.2020/305",),
)
