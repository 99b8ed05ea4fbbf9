"""What was not seen and why; and the machine that the run was on."""

import json
from dataclasses import dataclass
from typing import Any

from losscope.report.page.context import Context

MOST_LINES = 40
LONGEST = 400


@dataclass(frozen=True, slots=True)
class UnseenGroup:
    title: str
    rows: tuple[tuple[str, str], ...]
    left_out: int


def unseen_groups(context: Context) -> list[UnseenGroup]:
    """Checks that could not be made, blind spots, faults, thinning and damage; empty groups are left out."""
    language = context.language
    groups = [
        ("unseen.checks", [(code, why.render(language)) for code, why in context.verdict.not_judged]),
        ("unseen.blind", _events(context, "blind-spot", "what", "why")),
        ("unseen.faults", _events(context, "fault", "where", "error")),
        ("unseen.thinned", _events(context, "thinned", "level", "why")),
        ("unseen.damage", [("", line) for line in context.recording.damage]),
    ]
    views = []
    for title, rows in groups:
        distinct = list(dict.fromkeys(rows))
        if distinct:
            shown = tuple(distinct[:MOST_LINES])
            views.append(UnseenGroup(context.word(title), shown, len(distinct) - len(shown)))
    return views


def _events(context: Context, kind: str, name: str, text: str) -> list[tuple[str, str]]:
    return [(_shown(e.get(name, "")), _shown(e.get(text, ""))) for e in context.recording.events_of(kind)]


def environment(context: Context) -> list[tuple[str, str]]:
    """Everything in ``run.json`` as rows of name and value, nested names joined by dots."""
    rows: list[tuple[str, str]] = []
    _flatten("", context.recording.run, rows)
    return rows[: 5 * MOST_LINES]


def _flatten(name: str, value: Any, rows: list[tuple[str, str]]) -> None:
    if isinstance(value, dict) and value and name.count(".") < 3:
        for key, inner in value.items():
            _flatten(f"{name}.{key}" if name else str(key), inner, rows)
    else:
        rows.append((name, _shown(value)))


def _shown(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        text = " ".join(value)
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"
