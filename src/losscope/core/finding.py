"""What a rule says about a run."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from losscope.core.text import Language, Message

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Where:
    """A line of the user's own code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One measured fact: which signal, its value, and what a healthy run would show.

    ``label`` picks the series of that signal whose curve the report draws; ``steps`` are the
    steps it marks.
    """

    text: Message
    signal: str
    value: float
    expected: Message
    label: str = ""
    steps: tuple[int, ...] = ()

    def to_json(self, language: Language) -> dict[str, Any]:
        return {
            "text": self.text.render(language),
            "signal": self.signal,
            "label": self.label,
            "value": self.value,
            "expected": self.expected.render(language),
            "steps": list(self.steps),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """Outcome of one counterfactual replay. ``at``: what the points of the curves belong to, if not to time."""

    name: str
    outcome: Literal["confirmed", "refuted", "open"]
    effect: float
    interval: tuple[float, float]
    curves: dict[str, list[float]] = field(default_factory=dict)
    at: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "outcome": self.outcome,
            "effect": self.effect,
            "interval": list(self.interval),
            "curves": self.curves,
            "at": list(self.at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing a person may want to know. ``error`` and ``warning`` mean "a person should act"."""

    code: str
    severity: Severity
    confidence: float
    title: Message
    evidence: tuple[Evidence, ...]
    remedy: Message
    where: Where | None = None
    because_of: str | None = None
    trial: TrialResult | None = None

    def caused_by(self, code: str) -> "Finding":
        """The same finding, filed as a consequence of ``code``."""
        return replace(self, because_of=code)

    def to_json(self, language: Language) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "confidence": round(self.confidence, 4),
            "title": self.title.render(language),
            "evidence": [e.to_json(language) for e in self.evidence],
            "remedy": self.remedy.render(language),
            "trial": self.trial.to_json() if self.trial else None,
            "where": {"file": self.where.file, "line": self.where.line} if self.where else None,
            "because_of": self.because_of,
        }


@dataclass(frozen=True, slots=True)
class NotJudged:
    """The rule could not be applied to this run; ``why`` is shown to the reader."""

    why: Message
