"""Consecutive updates of a watched run, kept so that they can be made again: inputs, optimiser, gradients."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from losscope.core.text import Text
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.update import KeptUpdate

_FOREIGN = Text(
    en="{name} is no optimiser of torch.optim: its step cannot be made again",
    zh="{name} 不是 torch.optim 的优化器：无法重做其更新",
)
_CLOSURE = Text(
    en="{name} evaluates the loss inside its step, which is not made again",
    zh="{name} 在更新步骤内部计算损失，无法重做",
)
_STATE = Text(
    en="the state of {name} holds a {seen}, which losscope does not copy",
    zh="{name} 的状态中有 {seen}，losscope 不予复制",
)
_PLAIN = (bool, int, float, str, type(None))

Settings = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class KeptOptimizer:
    """Class, places of each group's parameters among the update's, and state as it was before the first update."""

    kind: type
    places: tuple[tuple[int, ...], ...]
    state: dict[int, dict[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class KeptStep:
    """The settings of each group at one update; ``renewed``: the optimiser was made anew before it."""

    settings: Settings
    renewed: bool = False


@dataclass(eq=False)
class KeptWindow:
    """``updates[0]`` has the modules, at the parameters before it; all others are of the same program.

    ``before`` holds ``.grad`` of each parameter at the first step, by which gradients that were never cleared are
    known. ``grown`` is how many updates had been made in the run when the window closed.
    """

    updates: list[KeptUpdate] = field(default_factory=list)
    steps: list[KeptStep] = field(default_factory=list)
    optimizer: KeptOptimizer | None = None
    before: list[Tensor | None] = field(default_factory=list)


def kept_optimizer(optimizer: Any, places: Mapping[int, int]) -> KeptOptimizer:
    """A copy of an optimiser; ``places`` are those of the parameters, by ``id``. Raises ``NotRebuildable``.

    Cost: one copy of its state.
    """
    kind, name = type(optimizer), type(optimizer).__name__
    if not isinstance(optimizer, torch.optim.Optimizer) or not kind.__module__.startswith("torch.optim"):
        raise NotRebuildable(_FOREIGN(name=name))
    if kind is torch.optim.LBFGS:
        raise NotRebuildable(_CLOSURE(name=name))
    groups, state = [], {}
    for group in optimizer.param_groups:
        known = [p for p in group["params"] if id(p) in places]
        groups.append(tuple(places[id(p)] for p in known))
        for p in known:
            found = optimizer.state.get(p, {})
            state[places[id(p)]] = {key: _copied(value, name) for key, value in found.items()}
    return KeptOptimizer(kind, tuple(groups), state)


def kept_step(optimizer: Any, *, renewed: bool) -> KeptStep:
    """The settings of all groups now. Raises ``NotRebuildable`` for settings that are no plain values."""
    name = type(optimizer).__name__
    groups = tuple(
        {key: _copied(value, name) for key, value in group.items() if key not in ("params", "param_names")}
        for group in optimizer.param_groups
    )
    return KeptStep(groups, renewed)


def _copied(value: Any, name: str) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, _PLAIN):
        return value
    if type(value) is tuple:
        return tuple(_copied(item, name) for item in value)
    raise NotRebuildable(_STATE(name=name, seen=type(value).__name__))
