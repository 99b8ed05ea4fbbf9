"""The verdict as Markdown, for pull requests, step summaries and notes."""

import re

from losscope.core.text import Language
from losscope.core.verdict import Verdict
from losscope.recording.reader import Recording
from losscope.report.charts.svg import clean
from losscope.report.examined import examination_line
from losscope.report.fix import diff_of
from losscope.report.format import Format
from losscope.report.view import (
    SYMBOLS,
    Branch,
    branches,
    confidence,
    grade,
    place,
    run_name,
    term_lines,
    training_line,
    trial_lines,
)
from losscope.report.words import word

# Everything that Markdown or the HTML inside it could read as markup.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&$@])")


def render(verdict: Verdict, recording: Recording, language: Language = "en") -> str:
    """One heading, the sentence, the findings with their evidence, and what was not judged."""
    lines = [f"## {SYMBOLS[verdict.state]} {word(f'state.{verdict.state}', language)}"]
    lines += ["", f"**{escape(verdict.sentence.render(language))}**", ""]
    name = run_name(recording)
    if name:
        lines.append(f"- {word('script', language)}: {code(name)}")
    lines.append(f"- {word('training', language)}: {escape(training_line(verdict, language))}")
    if verdict.expression:
        lines.append(f"- {word('objective', language)}: {code(verdict.expression)}")
    for kind, line in term_lines(verdict, recording, language):
        lines.append(f"  - {code(kind)}: {escape(line)}" if kind else f"  - {escape(line)}")
    examined = examination_line(recording, language)
    if examined:
        lines.append(f"- {word('examination', language)}: {escape(examined)}")
    lines += ["", f"### {word('findings', language)}", ""]
    tree = branches(verdict)
    if not tree:
        lines.append(word("no-findings", language))
    for branch in tree:
        lines += _finding(branch, recording, language, 0)
    if verdict.not_judged:
        lines += ["", f"### {word('unseen', language)}", ""]
        lines += [f"- {code(c)}: {escape(why.render(language))}" for c, why in verdict.not_judged]
    if verdict.passed:
        passed = ", ".join(code(c) for c in verdict.passed)
        lines += ["", f"### {word('passed', language)}", "", passed]
    return "\n".join(lines) + "\n"


def _finding(branch: Branch, recording: Recording, language: Language, depth: int) -> list[str]:
    finding, indent = branch.finding, "  " * depth
    at = place(finding.where, recording)
    where = f" {code(at)}" if at else ""
    severity = word(f"severity.{finding.severity}", language)
    title = escape(finding.title.render(language))
    lines = [f"{indent}- **{severity}** {code(finding.code)}{where}: {title}"]
    for evidence in finding.evidence:
        expected = escape(evidence.expected.render(language))
        tail = f" ({word('expected', language)}: {expected})" if expected else ""
        lines.append(
            f"{indent}  - {word('evidence', language)}: {escape(evidence.text.render(language))}{tail}"
        )
    graded = f"{grade(finding, language)} ({confidence(finding)})"
    lines.append(f"{indent}  - {graded}")
    remedy = escape(finding.remedy.render(language))
    lines.append(f"{indent}  - **{word('action', language)}**: {remedy}")
    for trial in trial_lines(finding):
        lines.append(f"{indent}  - {word('experiment', language)}: {escape(trial)}")
    diff = diff_of(finding, recording)
    if diff:
        lines += [f"{indent}  - {word('fix', language)}:", ""]
        lines += [f"{indent}        {clean(line)}" for line in diff]
        lines.append("")
    for below in branch.consequences:
        lines += _finding(below, recording, language, depth + 1)
    return lines


def escape(text: str) -> str:
    """``text`` on one line, with nothing left that Markdown would read as markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(clean(text).split()))


def code(text: str) -> str:
    """``text`` as a code span, fenced by more backticks than it holds."""
    shown = " ".join(clean(text).split())
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"


FORMAT = Format("markdown", ".md", render)
