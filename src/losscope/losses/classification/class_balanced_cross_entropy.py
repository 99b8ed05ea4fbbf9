"""Class-balanced cross-entropy w_y·CE, w_k ∝ (1 - β)/(1 - β^n_k): weights by the effective number of samples.

n samples that overlap are worth (1 - β^n)/(1 - β): β = 0 gives equal weights, β → 1 weights 1/n_k. Weights are scaled
to sum to C. The minimiser is w_k q_k, normalised, so outputs are no probabilities of the training data. ``mean``
divides by the number of samples as the authors do, not by Σ w[y] as ``F.cross_entropy(weight=w)`` does: the values of
batches with many rare samples are larger. Class weights change the loss, not the separability: an over-parametrised
network that fits everything ends at nearly the same place; see the logit-adjusted loss.
"""

import math

import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.class_counts import Counts, along_classes, as_counts
from losscope.losses.classification.entropy import class_chance
from losscope.losses.classification.true_class import class_log_probabilities, reduce_labelled
from losscope.losses.module import as_module
from losscope.losses.reduction import full_precision
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = [
    "SPEC",
    "ClassBalancedCrossEntropyLoss",
    "class_balanced_cross_entropy_loss",
    "class_balanced_weights",
]


def class_balanced_weights(counts: Tensor, beta: float = 0.999) -> Tensor:
    """(1 - β)/(1 - β^n_k), scaled to sum to the number of classes; 0 ≤ β < 1. Counts below 1 are taken for 1.

    >>> import torch
    >>> class_balanced_weights(torch.tensor([1.0, 2.0]), beta=0.5)  # 1 : ⅔
    tensor([1.2000, 0.8000])
    """
    if beta == 0:
        return torch.ones_like(counts)
    weights = 1 / -torch.expm1(counts.clamp(min=1) * math.log(beta))
    return weights * (len(counts) / weights.sum())


def class_balanced_cross_entropy_loss(
    input: Tensor,
    target: Tensor,
    *,
    counts: Counts,
    beta: float = 0.999,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-w_y ln softmax(z)_y of scores ``input`` [N, C, …] and classes ``target`` [N, …].

    ``counts`` [C] are class counts of the training data (numbers of samples, not frequencies), 0 ≤ ``beta`` < 1.
    Elements with target ``ignore_index`` do not count. float16 and bfloat16 are computed and returned in float32. Cui
    et al., CVPR 2019, arXiv:1901.05555.

    >>> import torch
    >>> value = class_balanced_cross_entropy_loss(torch.zeros(1, 2), torch.tensor([0]), counts=[1, 2], beta=0.5)
    >>> round(float(value), 4)  # 1.2 ln 2
    0.8318
    """
    (input,) = full_precision(input)
    axis = min(1, input.dim() - 1)
    weights = class_balanced_weights(as_counts(counts, input, input.shape[axis]), beta)
    classes = along_classes(torch.arange(input.shape[axis], device=input.device), input)
    of_target = torch.where(classes == target.unsqueeze(axis), along_classes(weights, input), 0.0).sum(axis)
    _, log_p_y = class_log_probabilities(input, target, ignore_index)
    return reduce_labelled(-of_target * log_p_y, target, ignore_index, reduction)


ClassBalancedCrossEntropyLoss = as_module(class_balanced_cross_entropy_loss, "ClassBalancedCrossEntropyLoss")


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """A·H(a/A) with a_k = w_k q_k of total A."""
    if options.get("counts") is None:
        return None
    counts = torch.as_tensor(options["counts"], dtype=torch.float64)
    weights = class_balanced_weights(counts, options.get("beta", 0.999)).tolist()
    known = {"weight": weights, "normalised_weights": False, "num_classes": len(weights)}
    return class_chance(stats, {**options, **known})


_COUNTS = (5000.0, 3000.0, 1500.0, 400.0, 100.0)
_TOP = float(class_balanced_weights(torch.tensor(_COUNTS, dtype=torch.float64)).max())

SPEC = LossSpec(
    name="class_balanced_cross_entropy",
    title="class-balanced cross-entropy",
    family="classification",
    task="multi-class",
    formula=r"-\frac{1-\beta}{1-\beta^{n_y}}\ln\frac{e^{z_y}}{\sum_ke^{z_k}}",
    input_space="logits",
    function=class_balanced_cross_entropy_loss,
    module=ClassBalancedCrossEntropyLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    sizes={"C": 5},
    variants=({"counts": _COUNTS}, {"counts": _COUNTS, "reduction": "sum"}, {"counts": _COUNTS, "beta": 0.0}),
    range=(0.0, math.inf),
    attained="in the limit of an infinite margin",
    elicits="probability times class weight, normalised",
    claims=(
        Claim("convex"),
        Claim("shift-invariant"),
        Claim("permutation-equivariant"),
        Claim("strictly-proper", holds=False, why="the minimiser is w_k q_k, normalised"),
        Claim("calibrated", holds=False, why="ranks classes by w_k q_k"),
        Claim("lipschitz", math.sqrt(2) * _TOP, why="√2 times the largest weight"),
        Claim("smooth", 0.5 * _TOP, why="half the largest weight"),
    ),
    denominator="number of targets that are not ignored, not the sum of their weights",
    chance=_chance,
    floor=zero_floor,
    references=("https://arxiv.org/abs/1901.05555",),
)
