"""Texts for people, in every language the product speaks, kept beside the code that uses them."""

from dataclasses import dataclass, field
from typing import Any, Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


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
