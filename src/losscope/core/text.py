"""Texts for people, in every language the product speaks, kept beside the code that uses them."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


def percent(share: float) -> str:
    """A share with two significant digits, however small; never "0 %" of what is there.

    >>> percent(0.5), percent(0.000312), percent(-0.009), percent(6.09), percent(0.0)
    ('50 %', '0.031 %', '-0.9 %', '610 %', '0 %')
    """
    value = 100 * share
    if not math.isfinite(value):
        return "∞ %" if value > 0 else "–"
    if abs(value) >= 9.5:
        return f"{value:.0f} %" if abs(value) < 99.5 else f"{float(f'{value:.2g}'):.0f} %"
    return f"{value:.2g} %"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence with ``str.format`` placeholders, in English and Chinese."""

    en: str
    zh: str

    def __call__(self, **values: Any) -> "Message":
        """Fill the placeholders later, in whatever language the reader asks for."""
        return Message(self, values)


@dataclass(frozen=True, slots=True)
class Message:
    """A text and the values that fill it: the record keeps these, never the rendered words."""

    text: Text
    values: dict[str, Any] = field(default_factory=dict)

    def render(self, language: Language = "en") -> str:
        values = {k: v.render(language) if isinstance(v, Message) else v for k, v in self.values.items()}
        return getattr(self.text, language).format(**values)

    def __str__(self) -> str:
        return self.render()
