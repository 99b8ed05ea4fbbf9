"""``losscope.examine``: where an objective stands, how flat it is there, how noisy, and what steps are stable."""

import html
import math
import numbers
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from losscope.core.errors import BadUsage, LosscopeError, NotReadable
from losscope.core.text import LANGUAGES, Language, Message, Text
from losscope.examination.look import Fact, Look, all_looks
from losscope.examination.place import Place
from losscope.objective.objective import Objective
from losscope.operators.optimiser_step import Step, read_step
from losscope.operators.second_moments import plain
from losscope.operators.state import state

__all__ = ["Examination", "examine"]

Progress = Callable[[int, int, str], None]

_NO_TIME = Text(
    en="{title}: left out, it takes at least {needed:.2g} s and {left:.2g} s were left",
    zh="{title}：未做，至少需要 {needed:.2g} 秒，只剩 {left:.2g} 秒",
)
_IMPOSSIBLE = Text(en="{title}: {why}", zh="{title}：{why}")
_NOTHING = Text(
    en="nothing was looked at: one gradient takes about {gradient:.2g} s",
    zh="未作任何观察：一次梯度约需 {gradient:.2g} 秒",
)
_UNDECIDED = Text(en="what kind of point this is was not looked at", zh="未判断该点的类型")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What an examination found: ``facts`` by look, in order, and ``left_out`` with the reason."""

    facts: tuple[Fact, ...]
    left_out: tuple[Message, ...]
    seconds: float
    titles: dict[str, Text] = field(default_factory=dict, repr=False)
    looks: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    gradient_seconds: float = 0.0
    _course: "_Course | None" = field(default=None, repr=False)

    def __getitem__(self, name: str) -> Fact:
        """The first fact of this name; ``KeyError`` where there is none."""
        for fact in self.facts:
            if fact.name == name:
                return fact
        raise KeyError(name)

    def sentence(self, language: Language = "en") -> str:
        """What matters most, in one sentence: the kind of point first."""
        nothing = _UNDECIDED() if self.facts else _NOTHING(gradient=self.gradient_seconds)
        deciding = sorted(
            (fact for fact in self.facts if fact.decides), key=lambda fact: fact.name != "state"
        )
        found = [fact.text for fact in deciding] or [nothing]
        text = ("; " if language == "en" else "；").join(m.render(language) for m in found)
        return text[:1].upper() + text[1:]

    def resume(self, seconds: float, progress: Progress | None = None) -> "Examination":
        """Go on for about ``seconds``: with looks that were left out, and those that time cut short.

        What is finished is the same as in one go with the same seed. Raises ``BadUsage`` where the parameters have
        changed since.
        """
        if self._course is None:
            raise BadUsage("this examination was read from a file and cannot be resumed")
        return self._course.go_on(seconds, progress)

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
            "unfinished": list(self.unfinished),
            "left_out": [message.render(language) for message in self.left_out],
            "seconds": round(self.seconds, 3),
            "words": {language: self._words(language) for language in LANGUAGES},
        }

    def _words(self, language: Language) -> dict[str, Any]:
        """All texts in one language: a report shows them in the reader's."""
        return {
            "sentence": self.sentence(language),
            "titles": {name: getattr(title, language) for name, title in self.titles.items()},
            "facts": [fact.text.render(language) for fact in self.facts],
            "left_out": [message.render(language) for message in self.left_out],
        }

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def examine(
    objective: Objective,
    seconds: float = 60.0,
    *,
    optimizer: torch.optim.Optimizer | Step | None = None,
    only: Collection[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> Examination:
    """Look at an objective where its model stands, cheapest and most informative first, for about ``seconds``.

    With the ``optimizer`` that trains it, as it is now, its learning rates are compared with those that are stable.
    ``only`` selects looks by name. ``progress(done, total, title)`` is called before each. A look that costs more than
    the time that is left is left out and named; iterations end with what they have, and :meth:`Examination.resume`
    goes on with them. The model is not changed.

    Raises ``BadUsage``, one line, for something that is no objective, no optimiser, or an unknown look. An optimiser
    that cannot be read (of another model, before its first step) costs the look at its steps, with the reason.

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
    return _Course(Place(objective, 0.0, seed, _step(objective, optimizer)), _chosen(only)).go_on(
        _number(seconds), progress
    )


def _number(seconds: float) -> float:
    if not isinstance(seconds, numbers.Real) or isinstance(seconds, bool) or not 0 <= seconds < math.inf:
        number = isinstance(seconds, numbers.Real)
        raise BadUsage(
            "an examination takes a number of seconds",
            seen=str(seconds) if number else type(seconds).__name__,
            remedy="" if number else "examine(objective, seconds, optimizer=optimizer)",
        )
    return float(seconds)


def _step(
    objective: Objective, optimizer: torch.optim.Optimizer | Step | None
) -> Step | LosscopeError | None:
    """What the optimiser does next, or why that is not known, which costs one look and not the others."""
    if optimizer is None or isinstance(optimizer, Step):
        return optimizer
    if not isinstance(plain(optimizer), torch.optim.Optimizer):
        raise BadUsage("an optimiser of torch is read", seen=type(optimizer).__name__)
    try:
        return read_step(optimizer, objective.parameters, objective.names)
    except LosscopeError as error:
        return error


def _chosen(only: Collection[str]) -> list[Look]:
    looks = all_looks()
    only = (only,) if isinstance(only, str) else only
    unknown = sorted(set(only) - set(looks))
    if unknown:
        raise BadUsage("no look has this name", seen=unknown[0], remedy="known: " + ", ".join(looks))
    return [look for name, look in looks.items() if not only or name in only]


class _Course:
    """An examination under way: what each look found, and which of them want more time."""

    def __init__(self, place: Place, looks: Sequence[Look]) -> None:
        self.place, self.looks = place, looks
        self.found: dict[str, list[Fact]] = {}
        self.left_out: dict[str, Message] = {}
        self.wanting = {look.name for look in looks}
        self.seconds = 0.0
        self.state = state(place.objective)

    def go_on(self, seconds: float, progress: Progress | None) -> Examination:
        if state(self.place.objective) != self.state:
            raise BadUsage("the model or its data have changed: examine the objective anew")
        began = time.perf_counter()
        self.place.go_on(began + seconds)
        for done, look in enumerate(self.looks):
            if progress is not None:
                progress(done, len(self.looks), look.title.en)
            if look.name in self.wanting:
                self._take(look)
        if progress is not None:
            progress(len(self.looks), len(self.looks), "")
        self.seconds += time.perf_counter() - began
        return self._examination()

    def _take(self, look: Look) -> None:
        place = self.place
        needed = look.cost * place.gradient_seconds
        if needed > place.left:
            if look.name not in self.found:
                self.left_out[look.name] = _NO_TIME(title=look.title(), needed=needed, left=place.left)
            return
        if not math.isfinite(place.value):
            raise BadUsage(
                "the loss is not a finite number here: nothing can be said about its surroundings",
                seen=str(place.value),
                remedy="look for NaN or infinity in inputs and targets",
            )
        place.cut_short = False
        self.left_out.pop(look.name, None)
        facts: list[Fact] = []
        try:
            for fact in look.run(place):
                facts.append(fact)  # what came before an error is kept
        except (
            NotReadable,
            BadUsage,
        ) as error:  # this look is not possible here, or not all of it; others are
            self.left_out[look.name] = _IMPOSSIBLE(title=look.title(), why=str(error))
        self.found[look.name] = facts
        if not place.cut_short:
            self.wanting.discard(look.name)

    def _examination(self) -> Examination:
        found = [(look.name, fact) for look in self.looks for fact in self.found.get(look.name, ())]
        return Examination(
            facts=tuple(fact for _, fact in found),
            left_out=tuple(self.left_out[k.name] for k in self.looks if k.name in self.left_out),
            seconds=self.seconds,
            titles={look.name: look.title for look in self.looks},
            looks=tuple(name for name, _ in found),
            unfinished=tuple(look.name for look in self.looks if look.name in self.wanting),
            gradient_seconds=self.place.gradient_seconds,
            _course=self,
        )
