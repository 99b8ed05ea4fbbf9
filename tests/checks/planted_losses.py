"""What the tables of planted losses share: each loss with what an audit must say of it, and must not say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Loss = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Planted:
    """``bugs``, ``conventions``: an audit must report at least one of these checks, as this. Empty: no bug at all.

    ``properties``: what the audit must say of these, where it says anything.
    """

    loss: Loss
    bugs: frozenset[str] = frozenset()
    conventions: frozenset[str] = frozenset()
    properties: Mapping[str, bool] = field(default_factory=dict)
    task: str = ""

    @property
    def name(self) -> str:
        return getattr(self.loss, "__name__", type(self.loss).__name__)


def table() -> tuple[list[Planted], Callable[..., Callable[[Loss], Loss]], Callable[..., Callable[[Loss], Loss]]]:
    """A table, and two decorators that fill it: ``@bug("check", …)`` and ``@fine(…)``."""
    entries: list[Planted] = []

    def bug(*checks: str, task: str = "", **properties: bool) -> Callable[[Loss], Loss]:
        def add(loss: Loss) -> Loss:
            entries.append(Planted(loss, frozenset(checks), properties=properties, task=task))
            return loss

        return add

    def fine(*conventions: str, task: str = "", **properties: bool) -> Callable[[Loss], Loss]:
        def add(loss: Loss) -> Loss:
            entries.append(Planted(loss, conventions=frozenset(conventions), properties=properties, task=task))
            return loss

        return add

    return entries, bug, fine
