"""What every format says about a verdict in the same way: order of findings, grades, lines of facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from losscope.core.finding import Finding, Where
from losscope.core.text import Language
from losscope.core.verdict import TermSummary, Training, Verdict
from losscope.recording.reader import Recording
from losscope.report.values import duration, in_words, number, percent
from losscope.report.words import word

SYMBOLS = {"healthy": "✔", "suspicious": "▲", "wrong": "✖", "not-enough-evidence": "?"}
MARKS = {"error": "✖", "warning": "▲", "info": "·"}
_CURVES, _POINTS = 4, 5


@dataclass(frozen=True, slots=True)
class Branch:
    """A finding and what follows from it."""

    finding: Finding
    consequences: tuple["Branch", ...]

    def codes(self) -> list[str]:
        """Codes of everything that follows, nearest first."""
        return [code for b in self.consequences for code in (b.finding.code, *b.codes())]


def branches(verdict: Verdict) -> list[Branch]:
    """The findings in their order, each consequence below its cause.

    A finding whose cause is not among the findings, or that would be its own ancestor, stands at the
    top, so that none is ever lost.
    """
    children: dict[str, list[int]] = {}
    codes = {f.code for f in verdict.findings}
    top: list[int] = []
    for i, finding in enumerate(verdict.findings):
        cause = finding.because_of
        if cause in codes and cause != finding.code and cause is not None:
            children.setdefault(cause, []).append(i)
        else:
            top.append(i)
    placed: set[int] = set()
    roots = [_branch(i, verdict.findings, children, placed) for i in top]
    for i in range(len(verdict.findings)):  # a circle of causes has no top of its own
        if i not in placed:
            roots.append(_branch(i, verdict.findings, children, placed))
    return roots


def _branch(
    index: int, findings: tuple[Finding, ...], children: dict[str, list[int]], placed: set[int]
) -> Branch:
    placed.add(index)
    below = []
    for child in children.get(findings[index].code, []):
        if child not in placed:
            below.append(_branch(child, findings, children, placed))
    return Branch(findings[index], tuple(below))


def complaints(tree: Sequence[Branch]) -> list[Branch]:
    """The branches that a person should act on; notes above them are passed over."""
    found: list[Branch] = []
    for branch in tree:
        found += [branch] if branch.finding.severity != "info" else complaints(branch.consequences)
    return found


def grade(finding: Finding, language: Language) -> str:
    """How good the evidence is, in words: an experiment counts for more than any statistic."""
    if finding.trial and finding.trial.outcome != "open":
        return word(f"grade.{finding.trial.outcome}", language)
    level = "strong" if finding.confidence >= 0.95 else ("moderate" if finding.confidence >= 0.8 else "weak")
    return word(f"grade.{level}", language)


def confidence(finding: Finding) -> str:
    """Confidence as per cent; never rounded up to certainty."""
    if 0.995 <= finding.confidence < 1:
        return ">99 %"
    return percent(finding.confidence)


def evidence_line(finding: Finding, language: Language) -> str:
    """The decisive piece of evidence: its text, and what a healthy run would show."""
    if not finding.evidence:
        return ""
    first = finding.evidence[0]
    expected = first.expected.render(language)
    return first.text.render(language) + (f" ({word('expected', language)}: {expected})" if expected else "")


def trial_lines(finding: Finding) -> list[str]:
    """The curves of an experiment in figures, of each at most five points."""
    trial = finding.trial
    if trial is None:
        return []
    lines = []
    for name, values in list(trial.curves.items())[:_CURVES]:
        places = sorted(
            {round(i * (len(values) - 1) / (_POINTS - 1)) for i in range(_POINTS)} if values else ()
        )
        if trial.at and len(trial.at) == len(values):
            shown = ", ".join(f"×{trial.at[i]:g}: {number(values[i])}" for i in places)
        else:
            shown = " → ".join(number(values[i]) for i in places)
        lines.append(f"{name}: {shown}")
    return lines


def term_lines(verdict: Verdict, recording: Recording, language: Language) -> list[tuple[str, str]]:
    """Kind and line of every term; in a sum also what the term adds to it, and last what the sum cannot fall below.

    Contributions of both signs have no shares of their sum. A bound of a single term is its floor, which its line
    has already, and one of zero says nothing. The bound has no kind.
    """
    terms = verdict.terms
    signs = any((term.contribution or 0.0) < 0 for term in terms)
    lines = []
    for term in terms:
        line = term_line(term, recording, language)
        if (
            len(terms) > 1
            and term.contribution is not None
            and term.share is not None
            and abs(term.share) < 1
        ):
            key = "adds" if signs else "adds-share"
            adds, share = number(term.contribution), percent(term.share)
            line += word(key, language, value=adds, share=share)
        lines.append((term.kind, line))
    if len(terms) > 1 and verdict.at_least:
        lines.append(("", word("at-least", language, bound=number(verdict.at_least))))
    return lines


def term_line(term: TermSummary, recording: Recording, language: Language) -> str:
    """The value of one term in words; of a sum also the value per element, which has the unit."""
    if term.value is None and term.first is not None:
        return word("not-late", language)
    summed, unit = term.reduction == "sum", term.unit
    compared = term.value_is_progress
    line = in_words(
        term.value,
        chance=term.chance if compared else None,
        floor=term.floor if compared else None,
        unit="" if summed else unit,
        language=language,
    )
    if not compared and term.value is not None:
        line += word("no-progress", language)
    elements = _elements(term, recording) if summed and term.value is not None else None
    if elements is None or term.value is None:
        return line
    each = number(term.value / elements) + (f" {unit}" if unit else "")
    return line + word("per-element", language, each=each)


def _elements(term: TermSummary, recording: Recording) -> int | None:
    """How many elements the sum of this term ran over in the batch that was read; ``None`` where unknown."""
    for event in reversed(recording.events_of("anatomy")):
        for read in event.get("terms") or ():
            same = (read.get("kind"), read.get("reduction")) == (term.kind, "sum")
            elements = read.get("elements")
            if same and read.get("coefficient", 1.0) == term.coefficient and isinstance(elements, int):
                return elements if elements > 1 else None
    return None


def watching_cost(training: Training) -> str:
    """Seconds and share."""
    return f"{duration(_watching(training))} ({percent(training.overhead)})"


def watching_cost_and_start(training: Training, language: Language) -> str:
    """The same; where the start of the watch, paid once, makes most of it, as in short runs, that is said."""
    cost, seconds = watching_cost(training), _watching(training)
    if 2 * training.start_seconds < seconds or not seconds:
        return cost
    return word("overhead-start", language, cost=cost, start=duration(training.start_seconds))


def _watching(training: Training) -> float:
    return training.seconds * training.overhead / (1.0 + training.overhead)


def losses_told(training: Training, language: Language) -> str:
    """The levels that the sentence says, and the last single loss, each under its name."""
    level = training.level
    if level is None or level.window < 2:
        return f"{number(training.first_loss)} → {number(training.last_loss)}"
    told = {"first": level.first, "last": level.last, "window": level.window, "batch": training.last_loss}
    return word("loss.levels", language, **{key: number(value) for key, value in told.items()})


def training_line(verdict: Verdict, language: Language) -> str:
    """Status, length and losses of the run in one line."""
    t = verdict.training
    status = word(f"status.{t.status}", language)
    parts = [word("short.training", language, status=status, steps=number(t.steps), time=duration(t.seconds))]
    if t.first_loss is not None:
        parts.append(word("short.loss", language, told=losses_told(t, language)))
    if t.validation:
        both = word("best-last", language, best=number(t.validation.best), last=number(t.validation.last))
        parts.append(f"{word('validation-short', language)} {both}")
    parts.append(word("short.overhead", language, value=watching_cost_and_start(t, language)))
    return " · ".join(parts)


def not_judged_line(verdict: Verdict, language: Language) -> str:
    """How many checks could not be made; empty when all could."""
    count = len(verdict.not_judged)
    return word("short.not-judged", language, count=count) if count else ""


def place(where: Where | None, recording: Recording) -> str:
    """A line of the script, its file relative to the folder that the run was started in; empty for none."""
    if where is None:
        return ""
    start = recording.run.get("cwd")
    try:
        file = (
            str(PurePath(where.file).relative_to(start)) if isinstance(start, str) and start else where.file
        )
    except ValueError:  # the file lies elsewhere
        file = where.file
    return f"{file}:{where.line}"


def run_name(recording: Recording) -> str:
    """The script's name, else the run folder's, else nothing."""
    starts = [recording.run, *recording.events_of("run-start")[:1]]
    for argv in (start.get("argv") for start in starts):
        if isinstance(argv, list) and argv and isinstance(argv[0], str) and argv[0]:
            return Path(argv[0]).name
    folder = folder_of(recording)
    return folder.name if folder else ""


def folder_of(recording: Recording) -> Path | None:
    """The run folder, or ``None`` for a recording that was made in memory."""
    folder = getattr(recording, "folder", None)
    return Path(folder) if folder else None


def report_path(recording: Recording) -> str:
    """The HTML report of this run where there is one, relative to here when that is shorter."""
    folder = folder_of(recording)
    path = folder / "report.html" if folder else None
    if path is None or not path.is_file():
        return ""
    try:
        return min(str(path), str(path.absolute().relative_to(Path.cwd())), key=len)
    except (ValueError, OSError):  # not below the working directory, or that was deleted
        return str(path)
