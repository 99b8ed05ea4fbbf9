"""What a loss is said to do, and what checking it found."""

from dataclasses import dataclass, field
from typing import Any, Literal

from losscope.core.text import Language, Message

Outcome = Literal["pass", "fail", "not-applicable", "declared", "not-finished"]
Severity = Literal["bug", "convention", "by-design"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A property of a loss that a checker of ``losscope.checks`` can execute.

    ``name`` is the checker's name ("convex", "strictly-proper", "lipschitz", …), ``value`` its figure where
    it has one (a Lipschitz constant). With ``holds=False`` the claim is that the property is absent, which
    is executed too: the checker must then find a counterexample. ``why`` says what a reader should know.

    >>> Claim("lipschitz", 1.0), Claim("convex", holds=False)
    (Claim(name='lipschitz', value=1.0, holds=True, why=''), Claim(name='convex', value=None, holds=False, why=''))
    """

    name: str
    value: float | None = None
    holds: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """The smallest input found that shows a fault: ``arguments`` as Python source, and lines to paste."""

    arguments: tuple[str, ...]
    repro: str
    seen: str = ""
    expected: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "arguments": list(self.arguments),
            "repro": self.repro,
            "seen": self.seen,
            "expected": self.expected,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one checker found. ``severity`` matters only where ``outcome`` is "fail".

    ``figures`` are the measured numbers, ``seconds`` what the check cost. A failure that the contract of the
    loss declares keeps its counterexample and has the outcome "declared".
    """

    check: str
    outcome: Outcome
    title: Message
    text: Message
    severity: Severity | None = None
    figures: dict[str, float] = field(default_factory=dict)
    counterexample: Counterexample | None = None
    seconds: float = 0.0

    def to_json(self, language: Language = "en") -> dict[str, Any]:
        return {
            "check": self.check,
            "outcome": self.outcome,
            "severity": self.severity,
            "title": self.title.render(language),
            "text": self.text.render(language),
            "figures": self.figures,
            "counterexample": self.counterexample.to_json() if self.counterexample else None,
            "seconds": round(self.seconds, 4),
        }
