"""The verdict for a terminal: about twenty lines, the top finding first.

Colours appear only where the stream is a terminal that wants them (``NO_COLOR`` and ``TERM=dumb`` are
honoured). A stream that cannot encode a sign gets a plain one instead. Control characters in names are
replaced, so that a file name cannot steer the terminal.
"""

import io
import re
import sys
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text as Line

from losscope.core.text import Language
from losscope.core.verdict import Verdict
from losscope.recording.reader import Recording
from losscope.report.examined import examination_line
from losscope.report.fix import diff_of
from losscope.report.format import Format
from losscope.report.stream import columns, wants_colour
from losscope.report.view import (
    MARKS,
    SYMBOLS,
    Branch,
    branches,
    complaints,
    confidence,
    evidence_line,
    grade,
    not_judged_line,
    place,
    report_path,
    term_lines,
    training_line,
    trial_lines,
)
from losscope.report.words import word

COLOURS = {
    "healthy": "green",
    "suspicious": "yellow",
    "wrong": "red",
    "not-enough-evidence": "cyan",
    "error": "red",
    "warning": "yellow",
    "info": "cyan",
}
MOST_FINDINGS = 3
MOST_TERMS = 3
PLAIN = str.maketrans(
    {
        "✔": "+", "✖": "x", "▲": "!", "·": "*", "→": "->", "↳": "\\", "‖": "||", "²": "^2", "×": "x",
        "−": "-", "–": "-", "—": "-", "…": "...", "≤": "<=", "≥": ">=", "∞": "inf", "±": "+/-",
        "“": '"', "”": '"', "‘": "'", "’": "'", "α": "alpha", "β": "beta", "ε": "epsilon", "η": "eta",
        "θ": "theta", "λ": "lambda", "μ": "mu", "σ": "sigma", "Δ": "D", "∇": "grad ", "Σ": "sum ",
        "√": "sqrt ", "½": "1/2",
    }
)  # fmt: skip
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def render_for(verdict: Verdict, recording: Recording, language: Language, stream: TextIO | None) -> str:
    """The verdict as ``stream`` can show it: its width, its colours, its encoding."""
    encoding = (getattr(stream, "encoding", None) if stream else None) or "utf-8"
    if language == "zh" and not _can_encode("结论", encoding):
        language = "en"
    colour = wants_colour(stream)
    out = io.StringIO()
    console = Console(
        file=out,
        width=columns(stream),
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        markup=False,
    )
    _print(console, verdict, recording, language)
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
    return text if _can_encode(text, encoding) else _reduced(text, encoding)


def render(verdict: Verdict, recording: Recording, language: Language = "en") -> str:
    """The verdict as standard error can show it, which is where a run prints it."""
    return render_for(verdict, recording, language, sys.stderr)


def _print(console: Console, verdict: Verdict, recording: Recording, language: Language) -> None:
    sentence = _safe(verdict.sentence.render(language))
    head = Line.assemble(
        ("losscope ", "dim"),
        (
            f"{SYMBOLS[verdict.state]} {word(f'state.{verdict.state}', language)}",
            f"bold {COLOURS[verdict.state]}",
        ),
        (f"  {sentence}", "bold"),
    )
    console.print(head)
    found = complaints(branches(verdict))
    for branch in found[:MOST_FINDINGS]:
        title = _safe(branch.finding.title.render(language))
        said = "" if sentence.startswith(title) else title
        _print_finding(console, branch, said, recording, language)
    if len(found) > MOST_FINDINGS:
        more = word("short.more", language, count=len(found) - MOST_FINDINGS)
        console.print(Padding(Line(more, style="dim"), (0, 0, 0, 2)))
    console.print(_summary(verdict, recording, language))


def _print_finding(
    console: Console, branch: Branch, title: str, recording: Recording, language: Language
) -> None:
    """One finding and the line at which it lies; no ``title`` where the sentence above just said it."""
    finding = branch.finding
    at = place(finding.where, recording)
    colour = COLOURS[finding.severity]
    head = Line.assemble(
        (f"{MARKS[finding.severity]} {_safe(finding.code)}", f"bold {colour}"),
        (f"  {_safe(at)}" if at else "", "bold"),
        f"  {title}" if title else "",
    )
    console.print(Padding(head, (0, 0, 0, 2)))
    rows = _grid()
    evidence = evidence_line(finding, language)
    graded = f"{grade(finding, language)}, {confidence(finding)}"
    rows.add_row(word("evidence", language), f"{_safe(evidence)} [{graded}]" if evidence else graded)
    rows.add_row(word("action", language), Line(_safe(finding.remedy.render(language)), style="bold"))
    curves = trial_lines(finding)
    if curves:
        rows.add_row(word("experiment", language), "\n".join(map(_safe, curves)))
    diff = diff_of(finding, recording)
    if diff:
        signs = {"-": "red", "+": "green"}
        styled = [Line(_safe(line), style=signs.get(line[:1], "dim")) for line in diff]
        rows.add_row(word("fix", language), Line("\n").join(styled))
    codes = branch.codes()
    if codes:
        rows.add_row("↳", word("consequences-line", language, count=len(codes), codes=", ".join(codes)))
    console.print(Padding(rows, (0, 0, 0, 4)))


def _summary(verdict: Verdict, recording: Recording, language: Language) -> Table:
    rows = _grid()
    if verdict.expression:
        rows.add_row(word("objective", language), _safe(verdict.expression))
    lines = term_lines(verdict, recording, language)
    for kind, line in [*lines[:MOST_TERMS], *(end for end in lines[MOST_TERMS:] if not end[0])]:
        name = f"{kind}: " if kind and len(verdict.terms) > 1 else ""
        rows.add_row("", _safe(name + line))
    rows.add_row(word("training", language), training_line(verdict, language))
    examined = examination_line(recording, language)
    if examined:
        rows.add_row(word("examination", language), _safe(examined))
    unseen = not_judged_line(verdict, language)
    if unseen:
        rows.add_row(word("unseen", language), unseen)
    path = report_path(recording)
    if path:
        rows.add_row(word("report", language), _safe(path))
    return rows


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _safe(text: str) -> str:
    """No escape sequences, no reordering of text, no line breaks that a name brought along."""
    return _UNSAFE.sub("\ufffd", text)


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _reduced(text: str, encoding: str) -> str:
    """Only signs that ``encoding`` has: the plain spelling where we know one, else a question mark."""
    kept = "".join(c if _can_encode(c, encoding) else c.translate(PLAIN) for c in text)
    try:
        return kept.encode(encoding, errors="replace").decode(encoding)
    except LookupError:
        return kept.encode("ascii", errors="replace").decode("ascii")


FORMAT = Format("terminal", ".txt", render, render_for=render_for)
