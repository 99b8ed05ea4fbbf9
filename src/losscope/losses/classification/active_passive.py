"""Active-passive loss α·NCE + β·RCE: normalised plus reverse cross-entropy, for noisy labels.

NCE = ln p_y / Σ_k ln p_k lies in [0, 1] and RCE = -A(1 - p_y), A < 0 in place of ln 0. Both sum to a constant over all
labels, so symmetric label noise below (C-1)/C does not move the minimiser. NCE is "active" (it raises p_y), RCE
"passive" (it lowers the others); each alone underfits. The minimiser of the expected loss is certainty of the
likeliest class, so the outputs are no probabilities. Not convex. The value does not compare with nats: equal
probabilities cost α/C - βA(1 - 1/C).
"""

import numpy as np
import torch
from torch import Tensor

from losscope.core.claims import Claim
from losscope.core.estimate import Estimate
from losscope.losses.arguments import Argument
from losscope.losses.classification.true_class import (
    class_log_probabilities,
    class_rates,
    missing_probability,
    over_classes,
    reduce_labelled,
)
from losscope.losses.module import as_module
from losscope.losses.regression.location import zero_floor
from losscope.losses.spec import LossSpec, Options
from losscope.losses.target_stats import TargetStats

__all__ = ["SPEC", "ActivePassiveLoss", "active_passive_loss"]


def active_passive_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    log_zero: float = -4.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """α ln p_y / Σ_k ln p_k - βA(1 - p_y) of scores ``input`` [N, C, …] and classes ``target`` [N, …].

    p is the softmax over the C classes; ``log_zero`` A < 0 stands for ln 0. With one class the loss is 0. Elements
    with target ``ignore_index`` do not count. float16 and bfloat16 are computed and returned in float32. Ma et al.,
    ICML 2020, arXiv:2006.13554.

    >>> import torch
    >>> float(active_passive_loss(torch.zeros(1, 4), torch.tensor([2])))  # 1/4 + 4 · 3/4
    3.25
    """
    log_p, log_p_y = class_log_probabilities(input, target, ignore_index)
    total = log_p.sum(min(1, input.dim() - 1))
    normalised = log_p_y / torch.where(total == 0, -1.0, total)  # 0 only where there is one class
    losses = alpha * normalised - beta * log_zero * missing_probability(log_p_y)
    return reduce_labelled(losses, target, ignore_index, reduction)


ActivePassiveLoss = as_module(active_passive_loss, "ActivePassiveLoss")


def _coefficients(options: Options) -> tuple[float, float]:
    """Of the normalised cross-entropy and of 1 - p_y."""
    return options.get("alpha", 1.0), -options.get("beta", 1.0) * options.get("log_zero", -4.0)


def _chance(stats: TargetStats, options: Options) -> Estimate | None:
    """α min q - βA(1 - max q), a limit: all on the likeliest class, least by far on the rarest.

    E NCE is a mean of the q_k with weights ln p_k / Σ ln p, so at least min q.
    """
    rates = class_rates(stats, options)
    if rates is None:
        return None
    alpha, linear = _coefficients(options)
    classes = np.arange(len(rates))
    losses = linear * (classes != rates.argmax())
    return over_classes(rates, losses + alpha * ((classes == rates.argmin()) & (len(rates) > 1)), stats)


def _normaliser(options: Options) -> float | None:
    """The loss of equal probabilities."""
    classes = options.get("num_classes", 0)
    alpha, linear = _coefficients(options)
    return alpha / classes + linear * (1 - 1 / classes) if classes > 1 else None


SPEC = LossSpec(
    name="active_passive",
    title="active-passive loss (normalised plus reverse cross-entropy)",
    family="classification",
    task="multi-class",
    formula=r"\alpha\frac{\ln p_y}{\sum_k\ln p_k}-\beta A(1-p_y)",
    input_space="logits",
    function=active_passive_loss,
    module=ActivePassiveLoss,
    arguments=(Argument("input", "logits"), Argument("target", "class-index")),
    variants=({"alpha": 0.0}, {"reduction": "sum"}),
    range=(0.0, 5.0),
    attained="in the limit of an infinite margin",
    elicits="mode",
    claims=(
        Claim("convex", holds=False),
        Claim("strictly-proper", holds=False, why="the minimiser is certainty of the likeliest class"),
        Claim("shift-invariant"),
        Claim("calibrated"),
        Claim("permutation-equivariant"),
    ),
    exceptions={"chance": "an infimum at infinite scores, that of the rarest class far below the others"},
    denominator="number of targets that are not ignored",
    chance=_chance,
    floor=zero_floor,
    normaliser=_normaliser,
    references=("https://arxiv.org/abs/2006.13554",),
)
