"""The one line that mends a finding, as a diff, where it is known for sure.

The source is read when the report is made, and only where it is that of the run: it was not changed since the run
began. It is parsed, never searched as text; a fix that is not unique, or whose result does not parse, is no fix.
Each kind is one file in ``fixes/`` with ``FIX`` at module level.
"""

import ast
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from losscope.core.finding import Finding
from losscope.core.registry import discover
from losscope.recording.reader import Recording

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Edit:
    """Line ``line`` (from 1) becomes ``new``: ``None`` takes it away. ``before``: ``new`` is put before it."""

    line: int
    new: str | None
    before: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the user's: its lines, and the tree of its statements."""

    lines: tuple[str, ...]
    tree: ast.Module

    def text(self, node: ast.expr) -> str | None:
        """What is written for an expression; ``None`` where it spans lines or holds other than ASCII.

        Columns of a tree count bytes.
        """
        line = self.lines[node.lineno - 1]
        if node.lineno != node.end_lineno or not line.isascii():
            return None
        return line[node.col_offset : node.end_col_offset]

    def replaced(self, node: ast.expr, new: str) -> Edit | None:
        """The edit that writes ``new`` in place of an expression of one line."""
        if self.text(node) is None:
            return None
        line = self.lines[node.lineno - 1]
        return Edit(node.lineno, line[: node.col_offset] + new + line[node.end_col_offset :])

    def statements_at(self, line: int) -> list[ast.stmt]:
        """Statements without a body that the line belongs to."""
        found = (n for n in ast.walk(self.tree) if isinstance(n, ast.stmt) and not hasattr(n, "body"))
        return [n for n in found if n.lineno <= line <= (n.end_lineno or n.lineno)]

    def calls(self, *names: str, within: ast.AST | None = None) -> list[ast.Call]:
        """Calls of functions or methods whose last name is one of these."""
        return [
            n for n in ast.walk(within or self.tree) if isinstance(n, ast.Call) and last_name(n.func) in names
        ]


@dataclass(frozen=True, slots=True)
class Fix:
    """``edit(source, finding)`` is the edit for findings of these codes, ``None`` where it is not known."""

    codes: tuple[str, ...]
    edit: Callable[[Source, Finding], Edit | None]


def last_name(node: ast.expr) -> str:
    """``step`` of ``optimizer.step``; empty where it is no name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def diff_of(finding: Finding, recording: Recording) -> list[str]:
    """The lines of a diff without context, the first with file and line; empty where no fix is known."""
    if finding.where is None or finding.severity == "info":
        return []
    fixes: Sequence[Fix] = [
        f for f in discover("losscope.report.fixes", "FIX").values() if finding.code in f.codes
    ]
    if not fixes:
        return []
    source = source_of(Path(finding.where.file), recording)
    if source is None:
        return []
    for fix in fixes:
        edit = fix.edit(source, finding)
        if edit is not None and _parses(source, edit):
            return list(_lines(source, edit, finding.where.file, recording))
    return []


def source_of(file: Path, recording: Recording) -> Source | None:
    """The file, where it is what was run."""
    started = recording.run.get("started")
    try:
        began = datetime.strptime(str(started), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        known = file.stat()
        if file.suffix != ".py" or known.st_size > _LARGEST or known.st_mtime > began + 1:
            return None
        text = file.read_text(encoding="utf-8")
        return Source(tuple(text.splitlines()), ast.parse(text))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _applied(source: Source, edit: Edit) -> list[str]:
    lines, at = list(source.lines), edit.line - 1
    lines[at : at if edit.before else at + 1] = [] if edit.new is None else [edit.new]
    return lines


def _parses(source: Source, edit: Edit) -> bool:
    try:
        ast.parse("\n".join(_applied(source, edit)))
    except (SyntaxError, ValueError):
        return False
    return edit.new != source.lines[edit.line - 1]


def _lines(source: Source, edit: Edit, file: str, recording: Recording) -> Iterator[str]:
    start = recording.run.get("cwd")
    shown = (
        os.path.relpath(file, start) if isinstance(start, str) and file.startswith(start + os.sep) else file
    )
    yield f"@@ {shown}:{edit.line} @@"
    if not edit.before:
        yield "-" + source.lines[edit.line - 1]
    if edit.new is not None:
        yield "+" + edit.new
    if edit.before:
        yield " " + source.lines[edit.line - 1]
