"""LDAM: cross-entropy with a margin that is larger for rare classes, Δ_k = m (n_min/n_k)^¼, on scores times s.

For long-tailed data: the fourth root comes from a bound on the class-balanced error. Meant for scores that are cosines
(normalised features and weights), for which s = 30 makes a difference of 1 decisive; on ordinary scores use s = 1 or
the loss is 30 times too steep. Convex. Never 0 with bounded scores: cosines of 1 and -1 still cost about
ln(1 + (C-1)e^(-s(2-Δ))). The authors switch class weights on only late in training ("deferred re-weighting").
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.class_counts import Counts, along_classes, as_counts
from losscope.losses.classification.true_class import (
    class_log_probabilities,
    fitted_class_chance,
    reduce_labelled,
)
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "LDAMLoss", "ldam_loss", "ldam_margins"]


def ldam_margins(counts: Tensor, max_margin: float = 0.5) -> Tensor:
    """m (n_min/n_k)^¼ [C]: the rarest class that has samples gets m, and so does one that has none.

    >>> import torch
    >>> ldam_margins(torch.tensor([16.0, 1.0]))
    tensor([0.2500, 0.5000])
    """
    rarest = torch.where(counts > 0, counts, torch.inf).amin()
    return max_margin * (rarest / counts.clamp(min=rarest)).pow(0.25)


def ldam_loss(
    input: Tensor,
    target: Tensor,
    *,
    counts: Counts,
    max_margin: float = 0.5,
    scale: float = 30.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of s(z - Δ_y e_y) for scores ``input`` [N, C, …] (cosines) and classes ``target`` [N, …].

    ``counts`` [C] are class counts of the training data, ``max_margin`` m is the margin of the rarest class, ``scale``
    is s. Elements with target ``ignore_index`` do not count. float16 and bfloat16 are computed and returned in float32.
    Cao et al., NeurIPS 2019, arXiv:1906.07413.

    >>> import torch
    >>> round(float(ldam_loss(torch.zeros(1, 2), torch.tensor([1]), counts=[16, 1], scale=1.0)), 4)  # ln(1 + √e)
    0.9741
    """
    (input,) = full_precision(input)
    axis = min(1, input.dim() - 1)
    classes = along_classes(torch.arange(input.shape[axis], device=input.device), input)
    margins = along_classes(ldam_margins(as_counts(counts, input, input.shape[axis]), max_margin), input)
    shifted = input - torch.where(classes == target.unsqueeze(axis), margins, 0.0)
    _, log_p_y = class_log_probabilities(scale * shifted, target, ignore_index)
    return reduce_labelled(-log_p_y, target, ignore_index, reduction)


LDAMLoss = as_module(ldam_loss, "LDAMLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """With p the softmax of sz: class k costs ln(1 - p_k(1 - e^(-sΔ_k))) - ln p_k + sΔ_k."""
    if options.get("counts") is None:
        return None
    counts = torch.as_tensor(options["counts"], dtype=torch.float64)
    shifts = options.get("scale", 30.0) * ldam_margins(counts, options.get("max_margin", 0.5))

    def per_class(log_p: Tensor) -> Tensor:
        return torch.log1p(log_p.exp() * torch.expm1(-shifts)) - log_p + shifts

    return fitted_class_chance(per_class, stats, {**options, "num_classes": len(counts)})


_COUNTS = (50.0, 30.0, 15.0, 4.0, 1.0)

SPEC = LossSpec(
    name="ldam",
    title="label-distribution-aware margin loss (LDAM)",
    family="classification",
    task="multi-class",
    formula=r"-\ln\frac{e^{s(z_y-\Delta_y)}}{e^{s(z_y-\Delta_y)}+\sum_{k\ne y}e^{sz_k}},\quad"
    r"\Delta_k=m\,(n_{\min}/n_k)^{1/4}",
    input_space="scores",
    function=ldam_loss,
    module=LDAMLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    sizes={"C": 5},
    variants=(
        {"counts": _COUNTS},
        {"counts": _COUNTS, "reduction": "sum"},
        {"counts": _COUNTS, "scale": 1.0},
    ),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    unit="nats",
    elicits="scores that favour rare classes",
    claims=(
        Claim("convex"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim("strictly-proper", holds=False, why="margins distort the probabilities"),
        Claim("lipschitz", 30 * math.sqrt(2), why="√2 s"),
        Claim("smooth", 450.0, why="s²/2"),
    ),
    denominator="number of targets that are not ignored",
    chance=_chance,
    floor=zero_floor,
    references=("https://arxiv.org/abs/1906.07413",),
)
