"""``losscope.examine``: where an objective stands, how flat it is there, how noisy, and what steps are stable."""

import html
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from losscope.core.errors import BadUsage, NotReadable
from losscope.core.text import Language, Message, Text
from losscope.examination.look import Fact, Look, all_looks
from losscope.examination.place import Place
from losscope.objective.objective import Objective

__all__ = ["Examination", "examine"]

Progress = Callable[[int, int, str], None]

_NO_TIME = Text(
    en="{title}: left out, it takes at least {needed:.2g} s and {left:.2g} s were left",
    zh="{title}：未做，至少需要 {needed:.2g} 秒，只剩 {left:.2g} 秒",
)
_IMPOSSIBLE = Text(en="{title}: {why}", zh="{title}：{why}")
_UNDECIDED = Text(en="what kind of point this is was not looked at", zh="未判断该点的类型")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What an examination found: ``facts`` by look, in order, and ``left_out`` with the reason."""

    facts: tuple[Fact, ...]
    left_out: tuple[Message, ...]
    seconds: float
    titles: dict[str, Text] = field(default_factory=dict, repr=False)
    looks: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Fact:
        """The first fact of this name; ``KeyError`` where there is none."""
        for fact in self.facts:
            if fact.name == name:
                return fact
        raise KeyError(name)

    def sentence(self, language: Language = "en") -> str:
        """What matters most, in one sentence."""
        found = [fact.text for fact in self.facts if fact.decides] or [_UNDECIDED()]
        text = ("; " if language == "en" else "；").join(m.render(language) for m in found)
        return text[:1].upper() + text[1:]

    def summary(self, language: Language = "en") -> str:
        """The report as text."""
        lines = [self.sentence(language), ""]
        last = ""
        for look, fact in zip(self.looks, self.facts, strict=True):
            if look != last:
                lines.append(getattr(self.titles[look], language))
            last = look
            if not fact.decides:
                lines.append(f"  {fact.text.render(language)}")
            else:
                lines.append(f"→ {fact.text.render(language)}")
        lines += (
            ["", *(f"? {message.render(language)}" for message in self.left_out)] if self.left_out else []
        )
        return "\n".join([*lines, "", f"{self.seconds:.1f} s"])

    def to_json(self, language: Language = "en") -> dict[str, Any]:
        """Plain data."""
        return {
            "schema": 1,
            "sentence": self.sentence(language),
            "facts": [
                {"look": look, **fact.to_json(language)}
                for look, fact in zip(self.looks, self.facts, strict=True)
            ],
            "left_out": [message.render(language) for message in self.left_out],
            "seconds": round(self.seconds, 3),
        }

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def examine(
    objective: Objective,
    seconds: float = 60.0,
    *,
    only: Collection[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> Examination:
    """Look at an objective where its model stands, cheapest and most informative first, for about ``seconds``.

    ``only`` selects looks by name. ``progress(done, total, title)`` is called before each. A look that costs more than
    the time that is left is left out and named; iterations end with what they have. The model is not changed.

    Raises ``BadUsage``, one line, for something that is no objective, or an unknown look.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(line.weight, 3.0)
    >>> x = torch.tensor([[1.0], [2.0]])
    >>> found = examine(Objective(line, torch.nn.functional.mse_loss, (x, x)), 5)
    >>> found["stable-rate"].figures["plain"]  # 2 / (2 mean x²)
    0.4
    """
    if not isinstance(objective, Objective):
        raise BadUsage(
            "an Objective is examined",
            seen=type(objective).__name__,
            remedy="losscope.examine(losscope.Objective(model, loss, data))",
        )
    chosen = _chosen(only)
    began = time.perf_counter()
    place = Place(objective, began + seconds, seed)
    if not math.isfinite(place.value):
        raise BadUsage(
            "the loss is not a finite number here: nothing can be said about its surroundings",
            seen=str(place.value),
            remedy="look for NaN or infinity in inputs and targets",
        )
    found, left_out = _looked(chosen, place, progress)
    if progress is not None:
        progress(len(chosen), len(chosen), "")
    return Examination(
        facts=tuple(fact for _, fact in found),
        left_out=tuple(left_out),
        seconds=time.perf_counter() - began,
        titles={look.name: look.title for look in chosen},
        looks=tuple(name for name, _ in found),
    )


def _chosen(only: Collection[str]) -> list[Look]:
    looks = all_looks()
    unknown = sorted(set(only) - set(looks))
    if unknown:
        raise BadUsage("no look has this name", seen=unknown[0], remedy="known: " + ", ".join(looks))
    return [look for name, look in looks.items() if not only or name in only]


def _looked(
    looks: Sequence[Look], place: Place, progress: Progress | None
) -> tuple[list[tuple[str, Fact]], list[Message]]:
    """Facts with the names of their looks, and what was left out."""
    found: list[tuple[str, Fact]] = []
    left_out: list[Message] = []
    for done, look in enumerate(looks):
        if progress is not None:
            progress(done, len(looks), look.title.en)
        needed = look.cost * place.gradient_seconds
        if done and needed > place.left:
            left_out.append(_NO_TIME(title=look.title(), needed=needed, left=place.left))
            continue
        try:
            found += [(look.name, fact) for fact in look.run(place)]
        except (NotReadable, BadUsage) as error:  # this look is not possible here; others are
            left_out.append(_IMPOSSIBLE(title=look.title(), why=str(error)))
    return found, left_out
