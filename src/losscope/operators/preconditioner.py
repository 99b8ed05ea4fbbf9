"""The matrix that an optimiser multiplies its momentum with, read from the state of the live optimiser.

The next step is θ ← θ - η M m with momentum m: the gradient itself for RMSprop and Adagrad without one. M is diagonal:

* Adam, AdamW, NAdam: 1 / (√(v / (1 - β₂ᵗ)) + ε), with the largest v so far for AMSGrad (Kingma and Ba, 2015,
  arXiv:1412.6980, algorithm 1; Reddi, Kale and Kumar, 2018, arXiv:1904.09237)
* RMSprop: 1 / (√v + ε), centred with v less the square of the mean gradient
* Adagrad: 1 / (√Σg² + ε)
* SGD: 1

Parameter groups with learning rates of their own count with η of the group over the largest.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, optim

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.structured.block_diagonal import BlockDiagonal, Placed
from losscope.operators.structured.blocks import Diagonal

__all__ = ["Preconditioner"]

State = Mapping[str, Any]


class Preconditioner(BlockDiagonal):
    """The preconditioner M of a ``torch.optim`` optimiser over an objective's parameters, positive semi-definite.

    The objective must hold the parameters that the optimiser steps (no ``dtype`` or ``device`` of its own). Cost: none.
    Raises ``BadUsage``, one line, for other optimisers, before the first step, and where a parameter is not optimised.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.zeros_(line.weight)
    >>> x = torch.tensor([[1.0]])
    >>> objective = Objective(line, torch.nn.functional.mse_loss, (x, x))
    >>> optimizer = torch.optim.Adam(line.parameters())
    >>> objective.loss_of(0).backward()  # a gradient of -2
    >>> optimizer.step()
    >>> Preconditioner(objective, optimizer).dense()
    tensor([[0.5000]])
    """

    def __init__(self, objective: Objective, optimizer: Any) -> None:
        optimizer = _plain(optimizer)
        rule = next((rule for kind, rule in _RULES if isinstance(optimizer, kind)), None)
        if rule is None:
            raise BadUsage(
                "this optimiser has no preconditioner that is known",
                seen=type(optimizer).__name__,
                remedy="known are " + ", ".join(kind.__name__ for kind, _ in _RULES),
            )
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        largest = max((float(group["lr"]) for group in optimizer.param_groups), default=0.0)
        if not largest > 0:
            raise BadUsage("the optimiser takes no steps", seen=f"learning rate {largest:g}")
        placed = []
        for i, (name, parameter) in enumerate(zip(objective.names, objective.parameters, strict=True)):
            group = groups.get(id(parameter))
            if group is None:
                raise BadUsage(
                    "a parameter of the objective is not one of the optimiser's",
                    seen=name,
                    remedy="give both the same model, and the objective no dtype or device",
                )
            state = optimizer.state.get(parameter, {})
            entries = _entries(rule, group, state, parameter, name)
            placed.append(Placed((i,), Diagonal(entries * (float(group["lr"]) / largest), "diagonal")))
        super().__init__(objective, placed)


def _plain(optimizer: Any) -> Any:
    """The optimiser inside a wrapper (Accelerate's, schedulers')."""
    while not isinstance(optimizer, optim.Optimizer) and hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def _entries(rule: "Rule", group: Mapping[str, Any], state: State, parameter: Tensor, name: str) -> Tensor:
    try:
        denominator = rule(group, state, parameter)
    except KeyError as missing:
        raise BadUsage(
            "the optimiser has no state for a parameter yet",
            seen=f"{name} has no {missing}",
            remedy="take at least one step first",
        ) from None
    if bool((denominator == 0).any()):
        raise BadUsage("the preconditioner is infinite", seen=f"{name}: a second moment and eps of 0")
    return (1 / denominator.detach()).reshape(-1).to(parameter.dtype)


def _adam(group: Mapping[str, Any], state: State, _: Tensor) -> Tensor:
    second = state["max_exp_avg_sq"] if group.get("amsgrad") else state["exp_avg_sq"]
    correction = 1 - float(group["betas"][1]) ** float(state["step"])
    return second.sqrt() / math.sqrt(correction) + group["eps"]


def _rmsprop(group: Mapping[str, Any], state: State, _: Tensor) -> Tensor:
    second = state["square_avg"]
    if group.get("centered"):
        second = (second - state["grad_avg"].square()).clamp_min(0)
    return second.sqrt() + group["eps"]


def _adagrad(group: Mapping[str, Any], state: State, _: Tensor) -> Tensor:
    if float(state["step"]) < 1:
        raise KeyError("step")
    return state["sum"].sqrt() + group["eps"]


def _sgd(_: Mapping[str, Any], __: State, parameter: Tensor) -> Tensor:
    return torch.ones_like(parameter)


Rule = Callable[[Mapping[str, Any], State, Tensor], Tensor]
_RULES: tuple[tuple[type[optim.Optimizer], Rule], ...] = (
    (optim.Adam, _adam),
    (optim.AdamW, _adam),
    (optim.NAdam, _adam),
    (optim.RMSprop, _rmsprop),
    (optim.Adagrad, _adagrad),
    (optim.SGD, _sgd),
)
