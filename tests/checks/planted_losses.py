"""What the tables of planted losses share: each loss with what an audit must say of it, and must not say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Loss = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Planted:
    """``bugs``, ``conventions``: an audit must report at least one of these checks, as this. Empty: no bug at all.

    ``tolerated``: bugs that it has besides, broadcasting of shapes that nobody checked above all. ``properties``: what
    the audit must say of these, where it says anything.
    """

    loss: Loss
    bugs: frozenset[str] = frozenset()
    conventions: frozenset[str] = frozenset()
    properties: Mapping[str, bool] = field(default_factory=dict)
    task: str = ""
    tolerated: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return getattr(self.loss, "__name__", type(self.loss).__name__)


def table() -> tuple[list[Planted], Callable[..., Any], Callable[..., Any]]:
    """A table, and two decorators that fill it: ``@bug("check", …)`` and ``@fine(…)``."""
    entries: list[Planted] = []

    def bug(*checks: str, task: str = "", **properties: bool) -> Callable[[Loss], Loss]:
        def add(loss: Loss) -> Loss:
            entries.append(Planted(loss, frozenset(checks), properties=properties, task=task))
            return loss

        return add

    def fine(
        *conventions: str, task: str = "", tolerated: str = "", **properties: bool
    ) -> Callable[[Loss], Loss]:
        allowed = frozenset({"broadcasting", *tolerated.split()})

        def add(loss: Loss) -> Loss:
            told = frozenset(conventions)
            planted = Planted(loss, conventions=told, properties=properties, task=task, tolerated=allowed)
            entries.append(planted)
            return loss

        return add

    return entries, bug, fine
