"""A baseline: findings that are known already, so that a pipeline fails on new ones only.

A finding is known by its code and the file it lies in, relative to the folder of the baseline; not by its line, which
moves with every edit. One that has become worse, an error where a warning is known, is new.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from losscope.core.errors import BadUsage
from losscope.core.finding import SEVERITIES, Finding

SCHEMA = 1
_LARGEST = 16 << 20
_REMEDY = "`losscope baseline RUN -o FILE` writes one"
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Baseline:
    """``known`` has the worst severity by code and place; ``file`` is where it was read."""

    file: Path
    known: dict[Key, str] = field(default_factory=dict)

    def new(self, findings: Iterable[Finding]) -> list[Finding]:
        """The errors and warnings that are not known."""
        return [f for f in findings if f.severity != "info" and not self._has(f)]

    def gone(self, findings: Iterable[Finding]) -> list[Key]:
        """What is known and was not found."""
        seen = {_key(f.code, f.where and f.where.file, self.file.parent) for f in findings}
        return sorted(self.known.keys() - seen)

    def _has(self, finding: Finding) -> bool:
        known = self.known.get(_key(finding.code, finding.where and finding.where.file, self.file.parent))
        return known is not None and SEVERITIES.index(finding.severity) >= _rank(known)


def read_baseline(path: Path) -> Baseline:
    """A file that `document` made, a ``verdict.json``, or a run folder that has one.

    Raises:
        BadUsage: there is no such file, or it is neither.
    """
    file = (path / "verdict.json" if path.is_dir() else path).absolute()
    try:
        if file.stat().st_size > _LARGEST:
            raise BadUsage("this is no baseline: the file is too large", seen=str(path), remedy=_REMEDY)
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadUsage(
            "the baseline cannot be read", seen=f"{path}: {error.strerror}", remedy=_REMEDY
        ) from None
    except (ValueError, RecursionError):
        raise BadUsage("this is no baseline", seen=str(path), remedy=_REMEDY) from None
    listed = found.get("findings") if isinstance(found, dict) else None
    if not isinstance(listed, list) or found.get("schema") != SCHEMA:
        raise BadUsage("this is no baseline", seen=str(path), remedy=_REMEDY)
    known: dict[Key, str] = {}
    for one in listed:
        entry = _entry(one, file.parent)
        if entry is None:
            raise BadUsage(
                "a finding in the baseline has no code or severity", seen=str(path), remedy=_REMEDY
            )
        key, severity = entry
        if severity != "info":
            known[key] = min(severity, known.get(key, severity), key=_rank)
    return Baseline(file, known)


def document(verdicts: Iterable[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """The document of a baseline in ``folder``, from contents of ``verdict.json``; sorted, so that it diffs well."""
    known: dict[Key, str] = {}
    for verdict in verdicts:
        for one in verdict.get("findings", []):
            entry = _entry(one, folder)
            if entry is not None and entry[1] != "info":
                known[entry[0]] = min(entry[1], known.get(entry[0], entry[1]), key=_rank)
    return {
        "schema": SCHEMA,
        "findings": [
            {"code": code, "severity": severity, "file": file or None}
            for (code, file), severity in sorted(known.items())
        ],
    }


def _rank(severity: str) -> int:
    return list(SEVERITIES).index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _entry(one: Any, folder: Path) -> tuple[Key, str] | None:
    """A finding of a baseline, where the file is plain, or of a verdict, where it stands under "where"."""
    if not isinstance(one, dict):
        return None
    code, severity, place = one.get("code"), one.get("severity"), one.get("where")
    if not isinstance(code, str) or severity not in SEVERITIES:
        return None
    file = place.get("file") if isinstance(place, dict) else one.get("file")
    return _key(code, file if isinstance(file, str) else None, folder), severity


def _key(code: str, file: str | None, folder: Path) -> Key:
    """A file inside the folder by its path from there, any other by its name: the folder may be elsewhere later."""
    if not file:
        return code, ""
    path = folder / file
    try:
        return code, path.resolve().relative_to(folder.resolve()).as_posix()
    except (ValueError, OSError, RuntimeError):
        return code, path.name
