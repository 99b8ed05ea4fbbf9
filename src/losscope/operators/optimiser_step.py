"""What one step of a torch optimiser does to a quadratic: θ ← θ - D m with a diagonal D and some kind of momentum.

Read off the live optimiser: param groups with rates of their own, and the state of adaptive ones. D = rate /
denominator, where the denominator is √v + ε of Adam, RMSprop and their like, as their next step would take it, and 1
for SGD.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from losscope.core.errors import BadUsage
from losscope.operators.second_moments import denominator, plain


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """For each parameter tensor its rate (0 where it is not held), denominator (``None``: 1) and decay of weights.

    ``kind`` of momentum: "plain", "heavy-ball", "nesterov" or "average" (an exponential moving average of gradients),
    with its ``momentum``. ``learning_rates`` are those of the param groups.
    """

    rates: tuple[float, ...]
    denominators: tuple[Tensor | None, ...]
    decays: tuple[float, ...]
    kind: str
    momentum: float
    name: str
    learning_rates: tuple[float, ...]

    @property
    def uniform(self) -> bool:
        """Whether every parameter moves at one rate along the gradient itself."""
        return len(set(self.rates)) == 1 and all(d is None for d in self.denominators)

    def at(self, places: Sequence[int | None]) -> "Step":
        """For parameters in another order; ``None`` for one that it does not know, which does not move."""
        known = [i for i in places if i is not None]
        if not any(self.rates[i] for i in known):
            raise BadUsage(
                "all learning rates are 0", seen=self.name, remedy="look after the warm-up has begun"
            )
        return replace(
            self,
            rates=tuple(0.0 if i is None else self.rates[i] for i in places),
            denominators=tuple(None if i is None else self.denominators[i] for i in places),
            decays=tuple(0.0 if i is None else self.decays[i] for i in places),
        )

    def vectors(self, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Rates, denominators and decays as vectors [P]."""
        like = parameters[0]

        def filled(values: Sequence[float]) -> Tensor:
            pieces = [torch.full((p.numel(),), v) for v, p in zip(values, parameters, strict=True)]
            return torch.cat(pieces).to(like)

        ones = [
            torch.ones(p.numel(), device=like.device) if d is None else d.reshape(-1).to(like.device)
            for d, p in zip(self.denominators, parameters, strict=True)
        ]
        return filled(self.rates), torch.cat(ones).to(like), filled(self.decays)


def read_step(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[Tensor],
    names: Sequence[str],
    *,
    preconditioned: bool = True,
) -> Step:
    """The next step of an optimiser, for these parameters. ``BadUsage``, one line, for what is not known.

    ``preconditioned=False``: what it divides by is not looked at.
    """
    optimizer = plain(optimizer)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise BadUsage("an optimiser of torch is read", seen=type(optimizer).__name__)
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    held = [p for p in parameters if id(p) in groups]
    if not held:
        raise BadUsage("the optimiser holds no parameter of this objective", seen=type(optimizer).__name__)
    momenta = {_momentum(optimizer, groups[id(p)]) for p in held}
    if len(momenta) > 1:
        raise BadUsage(
            "groups with different momentum have no limit in closed form", seen=str(sorted(momenta))
        )
    kind, momentum, factor = momenta.pop()
    rates, denominators, decays = [], [], []
    sgd = isinstance(optimizer, torch.optim.SGD)
    for name, p in zip(names, parameters, strict=True):
        group = groups.get(id(p))
        rates.append(0.0 if group is None else float(group["lr"]) * factor)
        decays.append(0.0 if group is None else _coupled_decay(optimizer, group))
        known = group is not None and preconditioned and not sgd
        denominators.append(denominator(optimizer, group, p, name) if known and group is not None else None)
    return Step(
        tuple(rates),
        tuple(denominators),
        tuple(decays),
        kind,
        momentum,
        type(optimizer).__name__,
        tuple(float(group["lr"]) for group in optimizer.param_groups),
    )


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
