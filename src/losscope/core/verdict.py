"""The verdict: what the rules found, in order, and what could not be judged."""

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from losscope.core.finding import Finding
from losscope.core.text import Language, Message

State = Literal["healthy", "suspicious", "wrong", "not-enough-evidence"]
Status = Literal["converged", "falling", "stuck", "diverged", "oscillating", "too-short"]
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    first: float
    best: float
    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Where the loss began and where it ended, as means: ``last`` over the last ``window`` updates, a twentieth."""

    first: float
    last: float
    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What happened to the loss. ``overhead`` is the watch's own share of the script's time (0.01 = 1 %).

    ``first_loss`` and ``last_loss`` are those of single updates, as recorded; ``level`` is what the sentence says.
    ``start_seconds`` of that were paid once: placing the hooks, and the first sample, which loads the catalogue.
    """

    status: Status
    steps: int
    first_loss: float | None
    last_loss: float | None
    validation: Validation | None
    overhead: float
    seconds: float
    start_seconds: float = 0.0
    level: Level | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TermSummary:
    """One term of the objective with its value at the end of the run.

    ``normalised`` is (value − floor) / (chance − floor), ``skill`` 1 minus that; ``excess`` is value − floor, in
    ``unit``. ``normaliser`` is the value that the contract counts as 1 (ln C), ``first`` the first one recorded.
    ``contribution`` is coefficient × value, ``share`` that part of the sum of all sizes. Where the value does not
    measure progress (a game, a policy gradient), only value, chance level and floor are told.
    """

    kind: str
    coefficient: float
    reduction: str
    value: float | None
    chance: float | None = None
    floor: float | None = None
    normalised: float | None = None
    skill: float | None = None
    unit: str = ""
    excess: float | None = None
    normaliser: float | None = None
    first: float | None = None
    contribution: float | None = None
    share: float | None = None
    value_is_progress: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    prediction_shape: tuple[int, ...] = ()
    activation: str | None = None

    def relative(self, base: float | None) -> float | None:
        """The value in units of ``base``; ``None`` where that is unknown or no scale."""
        if self.value is None or base is None or not base > 0 or not self.value_is_progress:
            return None
        return self.value / base


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``value`` is the objective at the end as the sum of its terms, ``at_least`` what it cannot fall below.

    Of a script with several trainings one after another, ``streams`` are the labels of the one that this speaks of.
    """

    state: State
    sentence: Message
    training: Training
    expression: str
    terms: tuple[TermSummary, ...]
    findings: tuple[Finding, ...]
    not_judged: tuple[tuple[str, Message], ...]
    passed: tuple[str, ...]
    value: float | None = None
    at_least: float | None = None
    streams: tuple[str, ...] = ()
    losscope: str = "0.1.0"

    def to_json(self, language: Language = "en") -> dict[str, Any]:
        """The stable ``verdict.json`` (schema 1); every number is finite or ``null``."""
        training, validation, level = self.training, self.training.validation, self.training.level
        return _finite(
            {
                "schema": SCHEMA,
                "losscope": self.losscope,
                "state": self.state,
                "sentence": self.sentence.render(language),
                "training": {
                    "status": training.status,
                    "steps": training.steps,
                    "first_loss": training.first_loss,
                    "last_loss": training.last_loss,
                    "level": level and {"first": level.first, "last": level.last, "window": level.window},
                    "validation": validation
                    and {"first": validation.first, "best": validation.best, "last": validation.last},
                    "overhead": training.overhead,
                    "seconds": training.seconds,
                },
                "objective": {
                    "expression": self.expression,
                    "value": self.value,
                    "at_least": self.at_least,
                    "terms": [_term(t) for t in self.terms],
                },
                "findings": [f.to_json(language) for f in self.findings],
                "not_judged": [{"code": c, "why": why.render(language)} for c, why in self.not_judged],
                "passed": list(self.passed),
            }
        )

    def dumps(self, language: Language = "en") -> str:
        return json.dumps(self.to_json(language), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _term(term: TermSummary) -> dict[str, Any]:
    return {
        "kind": term.kind,
        "coefficient": term.coefficient,
        "reduction": term.reduction,
        "value": term.value,
        "chance": term.chance,
        "floor": term.floor,
        "normalised": term.normalised,
        "skill": term.skill,
        "unit": term.unit,
        "excess": term.excess,
        "relative": {
            "chance": term.relative(term.chance),
            "normaliser": term.relative(term.normaliser),
            "first": term.relative(term.first),
        },
        "contribution": term.contribution,
        "share": term.share,
        "value_is_progress": term.value_is_progress,
        "options": term.options,
        "prediction": {"shape": list(term.prediction_shape), "activation": term.activation},
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN: a non-finite number becomes ``null``."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
