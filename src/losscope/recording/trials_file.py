"""What trials found about a run, as it lies in the run folder. No pickle: JSON, and of that what is expected."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from losscope.core.finding import TrialResult
from losscope.core.text import Text

FILE = "trials.json"
_LARGEST = 16 << 20
_OUTCOMES = ("confirmed", "refuted", "open")
_LONGEST, _POINTS, _CURVES = 2000, 10_000, 8


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial of the finding ``code`` about ``stream``, what it saw in words, and what else it would have."""

    code: str
    stream: str
    result: TrialResult
    text: Text
    expected: Text


@dataclass(frozen=True, slots=True)
class Trials:
    """``why``: nothing could be tried, in words."""

    tried: tuple[Tried, ...] = ()
    why: Text | None = None


def document(trials: Trials) -> dict[str, Any]:
    """The document of ``trials.json``."""
    return {
        "schema": 1,
        "why": None if trials.why is None else _words(trials.why),
        "trials": [
            {
                "code": t.code,
                "stream": t.stream,
                "text": _words(t.text),
                "expected": _words(t.expected),
                **_finite(t.result.to_json()),
            }
            for t in trials.tried
        ],
    }


def read_trials(folder: Path | None) -> Trials:
    """What is there; nothing where there is no document that can be read."""
    if folder is None:
        return Trials()
    path = folder / FILE
    try:
        if path.stat().st_size > _LARGEST:
            return Trials()
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Trials()
    if not isinstance(found, dict) or found.get("schema") != 1:
        return Trials()
    listed = found.get("trials")
    tried = (_tried(one) for one in (listed if isinstance(listed, list) else []))
    return Trials(tuple(t for t in tried if t is not None), _text(found.get("why")))


def _tried(one: Any) -> Tried | None:
    if not isinstance(one, dict):
        return None
    code, name, outcome = one.get("code"), one.get("name"), one.get("outcome")
    text, expected = _text(one.get("text")), _text(one.get("expected"))
    interval, curves = one.get("interval"), one.get("curves")
    if not (
        isinstance(code, str)
        and isinstance(name, str)
        and outcome in _OUTCOMES
        and text is not None
        and expected is not None
    ):
        return None
    low, high = (
        _number(v) for v in (interval if isinstance(interval, list) and len(interval) == 2 else (0, 0))
    )
    drawn = {
        str(label): [_number(v) for v in values[:_POINTS]]
        for label, values in list((curves if isinstance(curves, dict) else {}).items())[:_CURVES]
        if isinstance(values, list)
    }
    at = one.get("at")
    result = TrialResult(
        name=name[:80],
        outcome=outcome,
        effect=_number(one.get("effect")),
        interval=(low, high),
        curves=drawn,
        at=tuple(_number(v) for v in (at[:_POINTS] if isinstance(at, list) else ())),
    )
    return Tried(code, str(one.get("stream", "")), result, text, expected)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _text(words: Any) -> Text | None:
    """Words of the document as a text without placeholders."""
    if not isinstance(words, dict):
        return None
    en, zh = words.get("en"), words.get("zh")
    if not (isinstance(en, str) and isinstance(zh, str)):
        return None
    return Text(en=_plain(en), zh=_plain(zh))


def _plain(words: str) -> str:
    return words[:_LONGEST].replace("{", "{{").replace("}", "}}")


def _words(text: Text) -> dict[str, str]:
    return {"en": text().render("en"), "zh": text().render("zh")}


def as_text(en: str, zh: str) -> Text:
    """Rendered words as a text."""
    return Text(en=_plain(en), zh=_plain(zh))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
