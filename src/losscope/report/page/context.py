"""What every section of the page is made from."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from losscope.core.text import Language
from losscope.core.verdict import Verdict
from losscope.recording import signals
from losscope.recording.reader import Recording, Series
from losscope.recording.signals import Signal
from losscope.report.charts.svg import clean
from losscope.report.words import word


@dataclass(frozen=True)
class Context:
    """A verdict, its recording and the reader's language, with the few questions that sections ask."""

    verdict: Verdict
    recording: Recording
    language: Language
    _used: set[str] = field(default_factory=set, repr=False)

    def word(self, key: str, **values: Any) -> str:
        return word(key, self.language, **values)

    def identity(self, wish: str) -> str:
        """An id that no other element of this page has."""
        base = re.sub(r"[^a-z0-9]+", "-", wish.lower()).strip("-") or "x"
        name, n = base, 2
        while name in self._used:
            name, n = f"{base}-{n}", n + 1
        self._used.add(name)
        return name

    def series(self, signal: Signal, label: str = "") -> Series:
        return self.recording.series(signal, label)

    @cached_property
    def streams(self) -> list[str]:
        """Labels of the objectives that were minimised, the longest first."""
        labels = self.recording.labels(signals.LOSS)
        return sorted(labels, key=lambda label: -len(self.series(signals.LOSS, label).steps))

    @cached_property
    def steps(self) -> tuple[float, float]:
        """First and last update of the run."""
        ends = [self.series(signals.LOSS, label).steps for label in self.streams]
        ends = [e for e in ends if len(e)]
        if not ends:
            return 0.0, 1.0
        return float(min(e.min() for e in ends)), float(max(e.max() for e in ends))

    def levels(self, stream: str) -> tuple[float | None, float | None]:
        """Chance level and floor of a stream's loss, scaled by the coefficient of its single term.

        With several terms a sum of chance levels is no chance level of the sum, so nothing is said of it, and
        the floor is what the sum provably cannot fall below, unless that is zero.
        """
        labels = [x for x in self.recording.labels(signals.TERM_VALUE) if x.split("/")[0] == stream]
        terms = self.verdict.terms
        if self.streams and stream != self.streams[0]:
            return None, None
        if len(labels) > 1 and len(labels) == len(terms):
            return None, self.verdict.at_least or None
        if len(labels) > 1 or len(terms) != 1 or not terms[0].value_is_progress:
            return None, None
        c = terms[0].coefficient
        if not c > 0:
            return None, None
        chance, floor = terms[0].chance, terms[0].floor
        return (None if chance is None else c * chance), (None if floor is None else c * floor)


def prose(text: str) -> Iterator[tuple[str, bool]]:
    """Pieces of a text, each with whether it stands between backticks and so is code.

    >>> list(prose("use `lr=0.1` here"))
    [('use ', False), ('lr=0.1', True), (' here', False)]
    """
    pieces = re.split(r"`([^`\n]+)`", clean(text))
    for i, piece in enumerate(pieces):
        if piece:
            yield piece, i % 2 == 1
