"""Generalised cross-entropy (1 - p_y^q)/q, 0 < q ≤ 1: between cross-entropy (q → 0) and 1 - p_y (q = 1).

For noisy labels: a sample's gradient is that of cross-entropy times p_y^q, so labels that the model does not believe
hardly pull. Bounded by 1/q. The minimiser of the expected loss is the escort distribution η^(1/(1-q)) of the class
probabilities η: the order of the classes is right, the probabilities are too sharp. Not convex in the scores. A
wrong certain start has a vanishing gradient, so training may begin slowly; the value does not compare with nats.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.true_class import (
    class_log_probabilities,
    class_rates,
    gradient_of,
    hessian_of,
    over_classes,
    reduce_labelled,
)
from losscope.losses.module import as_module
from losscope.losses.ranges import require_positive, require_share
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "GeneralisedCrossEntropyLoss", "generalised_cross_entropy_loss"]


def generalised_cross_entropy_loss(
    input: Tensor, target: Tensor, *, q: float = 0.7, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """(1 - p_y^q)/q of scores ``input`` [N, C, …] and classes ``target`` [N, …]; p is their softmax.

    ``q`` in (0, 1]. Computed as -expm1(q ln p_y)/q, exact down to q = 1e-300. Elements with target
    ``ignore_index`` do not count. float16 and bfloat16 are computed and returned in float32. Zhang & Sabuncu,
    NeurIPS 2018, arXiv:1805.07836.

    >>> import torch
    >>> float(generalised_cross_entropy_loss(torch.zeros(1, 4), torch.tensor([2]), q=0.5))  # 2 (1 - 4^-½)
    1.0
    """
    require_positive(q=q)
    require_share(q=q)
    _, log_p_y = class_log_probabilities(input, target, ignore_index)
    return reduce_labelled(-torch.expm1(q * log_p_y) / q, target, ignore_index, reduction)


GeneralisedCrossEntropyLoss = as_module(generalised_cross_entropy_loss, "GeneralisedCrossEntropyLoss")


def _q(options: Options) -> float:
    return float(options.get("q", 0.7))


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """Reached at p ∝ η^(1/(1-q)), for q = 1 at the commonest class."""
    rates, q = class_rates(stats, options), _q(options)
    if rates is None:
        return None
    relative = rates / rates.max()
    p = (relative == 1).astype(float) if q >= 1 else relative ** (1 / (1 - q))
    p[relative.argmax()] = 1.0
    p /= p.sum()
    return over_classes(rates, (1 - p**q) / q, stats)


def _slope(log_p_y: Tensor, options: Options) -> Tensor:
    return -torch.exp(_q(options) * log_p_y)


def _bend(log_p_y: Tensor, options: Options) -> Tensor:
    return -_q(options) * torch.exp(_q(options) * log_p_y)


SPEC = LossSpec(
    name="generalised_cross_entropy",
    title="generalised cross-entropy",
    also=("GCE",),
    family="classification",
    task="multi-class",
    formula=r"\frac{1-p_y^{\,q}}{q}",
    input_space="logits",
    function=generalised_cross_entropy_loss,
    module=GeneralisedCrossEntropyLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"q": 0.9}, {"reduction": "sum"}),
    range=(0.0, 1 / 0.7),
    attained="in the limit of an infinite margin",
    elicits="escort distribution η^(1/(1-q)) of the class probabilities η",
    claims=(
        Claim("convex", holds=False),
        Claim("calibrated"),
        Claim("strictly-proper", holds=False, why="the minimiser is η^(1/(1-q)), normalised"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim(
            "lipschitz",
            math.sqrt(2) * (0.7 / 1.7) ** 0.7 / 1.7,
            why="p_y^q ‖p - e_y‖₂, largest at p_y = q/(1+q); falls as q grows",
        ),
    ),
    gradient=gradient_of(_slope),
    logit_hessian=hessian_of(_slope, _bend),
    denominator="number of targets that are not ignored",
    chance=_chance,
    floor=zero_floor,
    normaliser=lambda options: (
        (1 - options["num_classes"] ** -_q(options)) / _q(options)
        if options.get("num_classes", 0) > 1
        else None
    ),
    references=("https://arxiv.org/abs/1805.07836",),
)
