"""What one step of a torch optimiser does to a quadratic: θ ← θ - D m with a diagonal D and some kind of momentum.

Read off the live optimiser: param groups with rates of their own, and the state of adaptive ones. D = rate /
denominator, where the denominator is √v + ε of Adam, RMSprop and their like, as their next step would take it, and 1
for SGD.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.objective.objective import Objective
from losscope.operators.second_moments import denominator, plain


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """``rates`` [P] (0 for parameters that it does not hold), ``denominators`` [P], ``decay`` [P] of weights.

    ``kind`` of momentum: "plain", "heavy-ball", "nesterov" or "average" (an exponential moving average of gradients),
    with its ``momentum``.
    """

    rates: Tensor
    denominators: Tensor
    decay: Tensor
    kind: str
    momentum: float
    name: str


def read_step(
    optimizer: torch.optim.Optimizer, objective: Objective, preconditioner: Tensor | None = None
) -> Step:
    """The step of an optimiser that holds the objective's parameters. ``BadUsage``, one line, for what is not known."""
    optimizer = plain(optimizer)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise BadUsage("an optimiser of torch is read", seen=type(optimizer).__name__)
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    held = [p for p in objective.parameters if id(p) in groups]
    if not held:
        raise BadUsage("the optimiser holds no parameter of this objective", seen=type(optimizer).__name__)
    momenta = {_momentum(optimizer, groups[id(p)]) for p in held}
    if len(momenta) > 1:
        raise BadUsage(
            "groups with different momentum have no limit in closed form", seen=str(sorted(momenta))
        )
    kind, momentum, factor = momenta.pop()
    rates, denominators, decay = [], [], []
    for name, p in zip(objective.names, objective.parameters, strict=True):
        group = groups.get(id(p))
        rates.append(torch.full((p.numel(),), 0.0 if group is None else float(group["lr"]) * factor))
        decay.append(torch.full((p.numel(),), 0.0 if group is None else _coupled_decay(optimizer, group)))
        if group is None or preconditioner is not None:
            denominators.append(torch.ones(p.numel()))
        else:
            denominators.append(denominator(optimizer, group, p, name).reshape(-1).cpu())
    like = objective.parameters[0]
    made = [torch.cat(parts).to(like) for parts in (rates, denominators, decay)]
    if preconditioner is not None:
        if preconditioner.shape != (objective.size,) or not bool((preconditioner > 0).all()):
            raise BadUsage(
                "a preconditioner is a vector of positive numbers, one for each parameter",
                seen=str(tuple(preconditioner.shape)),
            )
        made[1] = preconditioner.detach().to(like)
    return Step(made[0], made[1], made[2], kind, momentum, type(optimizer).__name__)


def _momentum(optimizer: torch.optim.Optimizer, group: Mapping[str, Any]) -> tuple[str, float, float]:
    """Kind, β, and what the rate is multiplied by."""
    if group.get("maximize"):
        raise BadUsage("an optimiser that maximises has no stable rate", seen="maximize=True")
    if "betas" in group:
        beta = float(group["betas"][0])
        if type(optimizer).__name__ in ("NAdam", "RAdam"):
            raise BadUsage("the limit of this optimiser is not known", seen=type(optimizer).__name__)
        return ("average" if beta else "plain"), beta, 1.0
    beta = float(group.get("momentum", 0.0))
    if not beta:
        return "plain", 0.0, 1.0
    kind = "nesterov" if group.get("nesterov") else "heavy-ball"
    return kind, beta, 1.0 - float(group.get("dampening", 0.0))


def _coupled_decay(optimizer: torch.optim.Optimizer, group: Mapping[str, Any]) -> float:
    """λ of ½λ‖θ‖² in the gradient; decoupled decay is not part of it."""
    decoupled = type(optimizer).__name__ == "AdamW" or group.get("decoupled_weight_decay")
    return 0.0 if decoupled else float(group.get("weight_decay", 0.0))
