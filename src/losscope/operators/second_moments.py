"""What an adaptive optimiser of torch divides its momentum by in its next step, read from its state.

* Adam, AdamW, NAdam: √(v / (1 - β₂ᵗ)) + ε, with the largest v so far for AMSGrad (Kingma and Ba, 2015,
  arXiv:1412.6980, algorithm 1; Reddi, Kale and Kumar, 2018, arXiv:1904.09237)
* RMSprop: √v + ε, centred with v less the square of the mean gradient
* Adagrad: √Σg² + ε
* SGD: 1
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, optim

from losscope.core.errors import BadUsage

State = Mapping[str, Any]


def plain(optimizer: Any) -> Any:
    """The optimiser inside a wrapper (Accelerate's, schedulers')."""
    while not isinstance(optimizer, optim.Optimizer) and hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def denominator(optimizer: Any, group: Mapping[str, Any], parameter: Tensor, name: str) -> Tensor:
    """[P_name], in the shape of the parameter. ``BadUsage``, one line, for other optimisers and before a first step."""
    rule = next((rule for kind, rule in _RULES if isinstance(optimizer, kind)), None)
    if rule is None:
        raise BadUsage(
            "this optimiser has no preconditioner that is known",
            seen=type(optimizer).__name__,
            remedy="known are " + ", ".join(kind.__name__ for kind, _ in _RULES),
        )
    try:
        return rule(group, optimizer.state.get(parameter, {}), parameter).detach()
    except KeyError as missing:
        raise BadUsage(
            "the optimiser has no state for a parameter yet",
            seen=f"{name} has no {missing}",
            remedy="take at least one step first",
        ) from None


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
