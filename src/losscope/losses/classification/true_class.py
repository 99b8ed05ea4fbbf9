"""What losses of the true class's probability p_y have in common: ln p_y, closed forms, chance levels.

A loss φ(ln p_y) of softmax probabilities p has the gradient φ'·(e_y - p) by the scores and the Hessian
φ''·rrᵀ - φ'·(diag p - ppᵀ) with r = e_y - p, so two scalar functions say everything.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.losses.classification.entropy import error_over_classes
from losscope.losses.reduction import full_precision, reduce
from losscope.losses.target_stats import TargetStats

Options = Mapping[str, Any]
Curve = Callable[[Tensor, Options], Tensor]
_FAR = -50.0  # ln p of a class that the prediction rules out
_LBFGS_STEPS = 500


def class_log_probabilities(input: Tensor, target: Tensor, ignore_index: int = -100) -> tuple[Tensor, Tensor]:
    """ln softmax(z) [N, C, …] and its entry at the target [N, …], 0 where the target is ``ignore_index``.

    float16 and bfloat16 become float32. An index that is no class raises in ``nll_loss``; it never wraps around.
    """
    (input,) = full_precision(input)
    log_p = input.log_softmax(min(1, input.dim() - 1))
    return log_p, -F.nll_loss(log_p, target, reduction="none", ignore_index=ignore_index)


def missing_probability(log_p_y: Tensor) -> Tensor:
    """1 - p_y without cancellation."""
    return -torch.expm1(log_p_y)


def reduce_labelled(losses: Tensor, target: Tensor, ignore_index: int, reduction: str) -> Tensor:
    """Reduce over the elements whose target is not ``ignore_index``; a mean over none of them is 0."""
    return reduce(losses, reduction, target != ignore_index)


def gradient_of(slope: Curve) -> Callable[[Tensor, Tensor, Options], Tensor]:
    """Closed-form gradient [N, C] of φ(ln p_y); ``slope`` is φ'."""

    def gradient(logits: Tensor, target: Tensor, options: Options) -> Tensor:
        log_p_y, residual, _ = _parts(logits, target)
        return slope(log_p_y, options)[:, None] * residual

    return gradient


def hessian_of(slope: Curve, bend: Curve) -> Callable[[Tensor, Tensor, Options], Tensor]:
    """Closed-form Hessian [N, C, C] of φ(ln p_y) by the scores; ``slope`` is φ', ``bend`` is φ''."""

    def hessian(logits: Tensor, target: Tensor, options: Options) -> Tensor:
        log_p_y, r, p = _parts(logits, target)
        spread = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
        first, second = slope(log_p_y, options), bend(log_p_y, options)
        return second[:, None, None] * r[:, :, None] * r[:, None, :] - first[:, None, None] * spread

    return hessian


def _parts(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ln p_y, e_y - p and p."""
    log_p = logits.log_softmax(1)
    p = log_p.exp()
    return log_p.gather(1, target[:, None])[:, 0], F.one_hot(target, logits.shape[1]) - p, p


def class_rates(stats: TargetStats, options: Options) -> np.ndarray | None:
    """Share of each class among the targets, or ``None`` where no class index was seen."""
    n = float(stats.class_weight.sum())
    if n <= 0 or options.get("target") == "distribution":
        return None
    rates = np.zeros(max(int(options.get("num_classes") or 0), len(stats.class_weight)))
    rates[: len(stats.class_weight)] = stats.class_weight / n
    return rates


def over_classes(rates: np.ndarray, losses: np.ndarray, stats: TargetStats) -> Estimate:
    """Mean loss of a constant prediction that costs ``losses[k]`` on class k."""
    losses = np.where(rates > 0, losses, 0.0)
    return Estimate(float((rates * losses).sum()), error_over_classes(rates, losses, stats.count))


def fitted_class_chance(
    per_class: Callable[[Tensor], Tensor], stats: TargetStats, options: Options, *, to_log: bool = True
) -> Estimate | None:
    """Numeric chance level: Σ_k q_k ℓ_k at its minimum over one prediction for all samples.

    ``per_class`` gives the loss of each class [C] from ln p [C] (from the scores z with ``to_log=False``). L-BFGS in
    float64 from the target distribution and from its commonest class; the limit of certainty is tried as well,
    because losses that are robust to label noise have their minimum there.
    """
    rates = class_rates(stats, options)
    if rates is None:
        return None
    q = torch.from_numpy(rates)
    certain = torch.where(torch.arange(len(q)) == q.argmax(), 0.0, _FAR).double()
    found = []
    for start in (q.clamp(min=1e-9).log(), 3.0 * (certain == 0).double()):
        z = start.clone().requires_grad_()
        optimiser = torch.optim.LBFGS(
            [z],
            max_iter=_LBFGS_STEPS,
            tolerance_grad=1e-11,
            tolerance_change=1e-14,
            line_search_fn="strong_wolfe",
        )

        def closure(z: Tensor = z, optimiser: torch.optim.Optimizer = optimiser) -> Tensor:
            optimiser.zero_grad()
            value = (q * per_class(z.log_softmax(0) if to_log else z)).sum()
            value.backward()
            return value

        with torch.enable_grad():
            optimiser.step(closure)  # type: ignore[arg-type]
        found.append(per_class(z.detach().log_softmax(0) if to_log else z.detach()))
    found.append(per_class(certain))
    best = min(found, key=lambda losses: float((q * losses).nan_to_num(nan=torch.inf).sum()))
    return over_classes(rates, best.numpy(), stats)
