"""One look at an objective: a file with ``LOOK``, found by discovery; its docstring is its reference page."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from losscope.core.estimate import Estimate
from losscope.core.registry import discover
from losscope.core.text import Language, Message, Text
from losscope.examination.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that was found. ``decides``: it belongs into the first sentence. ``figures`` are further numbers."""

    name: str
    text: Message
    value: Estimate | None = None
    decides: bool = False
    figures: dict[str, Any] = field(default_factory=dict)

    def to_json(self, language: Language = "en") -> dict[str, Any]:
        number = self.value
        return {
            "name": self.name,
            "text": self.text.render(language),
            "value": None if number is None else number.value,
            "stderr": None if number is None else number.stderr,
            "products": 0 if number is None else number.products,
            "figures": self.figures,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """``run(place)`` yields facts. Looks are taken by ``rank``, the cheapest and most informative first.

    ``cost`` is what a look costs at least, in gradients: it is left out where the time for it is gone.
    """

    name: str
    title: Text
    rank: int
    cost: float
    run: Callable[[Place], Iterable[Fact]]


def all_looks() -> dict[str, Look]:
    """Every look by name, in the order in which they are taken."""
    found = discover("losscope.examination.looks", "LOOK").values()
    return {look.name: look for look in sorted(found, key=lambda look: look.rank)}
