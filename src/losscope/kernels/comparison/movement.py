"""How far the predictions of a network moved from initial parameters, and how much of that its linearisation gives.

f(θ) - f(θ₀) = J(θ₀)(θ - θ₀) + remainder: one product with the Jacobian at θ₀, exact.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.core.estimate import Estimate
from losscope.kernels.functions.placed import placed
from losscope.objective.objective import Objective
from losscope.operators.linearisation import Linearisation, linearise


@dataclass(frozen=True, slots=True, eq=False)
class Movement:
    """Squared lengths per sample [N]: of the movement of f, of its linear part, and of the remainder.

    ``losses`` are data terms: at θ₀ ("initial"), now ("network"), and of the linearised network ("linearised").
    """

    moved: Tensor
    linear: Tensor
    remainder: Tensor
    losses: dict[str, float]

    @property
    def unexplained(self) -> Estimate:
        """Σ remainder² / Σ moved² ± the standard error of that ratio over samples."""
        total, n = float(self.moved.sum()), len(self.moved)
        ratio = float(self.remainder.sum()) / total
        spread = float((self.remainder - ratio * self.moved).square().sum()) * n / max(1, n - 1)
        return Estimate(ratio, spread**0.5 / total if n > 1 else float("inf"), 1)


def movement(objective: Objective, theta: Tensor, data: Any = None) -> Movement:
    """From the vector θ₀ [P] to the objective's own parameters, over its data or others. Cost: three forward passes.

    In float64, on copies. Raises ``BadUsage`` where the predictions have no axis of samples.
    """
    now = placed(objective, None, data=data, dtype=torch.float64)
    then = placed(objective, theta, data=data, dtype=torch.float64)
    step = now.theta - then.theta
    moved, linear, remainder = [], [], []
    total = {"initial": then.data_value(), "network": now.data_value(), "linearised": 0.0}
    for before, after in zip(linearise(then), linearise(now), strict=True):
        along = before.push(step)
        change = [a.detach() - b.detach() for a, b in zip(after.predictions, before.predictions, strict=True)]
        moved.append(_squares(change, before))
        linear.append(_squares(along, before))
        remainder.append(_squares([c - a for c, a in zip(change, along, strict=True)], before))
        value = _loss_of(
            [b.detach() + a for b, a in zip(before.predictions, along, strict=True)], then, before
        )
        total["linearised"] += float("nan") if value is None else before.coefficient * value
    losses = {name: value for name, value in total.items() if not math.isnan(value)}
    return Movement(torch.cat(moved), torch.cat(linear), torch.cat(remainder), losses)


def _squares(values: list[Tensor], batch: Linearisation) -> Tensor:
    if batch.samples is None:
        raise BadUsage("the predictions have no axis of samples in common", seen=f"{len(values)} tensors")
    return torch.stack([v.reshape(batch.samples, -1).square().sum(1) for v in values]).sum(0)


def _loss_of(predictions: list[Tensor], objective: Objective, batch: Linearisation) -> float | None:
    """The loss of other predictions; None where the model computes its loss itself, or from several tensors."""
    loss, target = objective.whole.loss, objective.batches[batch.index].target
    if loss is None or len(predictions) != 1:
        return None
    with torch.no_grad():
        return float(loss(predictions[0]) if target is None else loss(predictions[0], target))
