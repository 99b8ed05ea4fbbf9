"""The findings, worst first, each with its evidence drawn, its remedy, and what follows from it."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losscope.core.finding import Evidence, Finding, TrialResult
from losscope.recording import signals
from losscope.report.charts.line import Band, Level, Line, Mark
from losscope.report.charts.svg import clean
from losscope.report.fix import diff_of
from losscope.report.page.context import Context
from losscope.report.page.figures import Figure, figure
from losscope.report.values import number
from losscope.report.view import Branch, branches, confidence, grade, place
from losscope.report.words import WORDS
from losscope.rules.rule import all_rules, sections

# The first findings get drawings of their evidence; further ones keep their words, so that a run with
# many findings still makes a page of bounded size.
MOST_DRAWN = 8
MOST_MARKS = 12
_OF_LOSS = (signals.LOSS.name, signals.TERM_VALUE.name, signals.EVALUATION_LOSS.name)


@dataclass(frozen=True, slots=True)
class EvidenceView:
    text: str
    expected: str
    figure: Figure | None


@dataclass(frozen=True, slots=True)
class TrialView:
    words: str
    figure: Figure | None


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding for the template; ``consequences`` are the same, one level down."""

    anchor: str
    code: str
    severity: str
    severity_word: str
    title: str
    where: str
    grade: str
    confidence: str
    remedy: str
    false_alarm: str
    says: str
    evidence: tuple[EvidenceView, ...]
    trial: TrialView | None
    diff: str
    consequences: tuple["FindingView", ...]
    key: int
    open: bool = False


def finding_views(context: Context) -> list[FindingView]:
    """All findings as a tree, the top one open."""
    budget = [MOST_DRAWN]
    return [
        _view(context, branch, budget, opened=i == 0 and branch.finding.severity != "info")
        for i, branch in enumerate(branches(context.verdict))
    ]


def anchors(views: list[FindingView]) -> dict[int, str]:
    """The id on the page of every finding, by the finding's identity in memory."""
    found: dict[int, str] = {}
    for view in views:
        found[view.key] = view.anchor
        found |= anchors(list(view.consequences))
    return found


def _view(context: Context, branch: Branch, budget: list[int], *, opened: bool = False) -> FindingView:
    finding, language = branch.finding, context.language
    budget[0] -= 1
    notes = _notes(finding.code)
    return FindingView(
        anchor=context.identity(f"finding-{finding.code}"),
        code=finding.code,
        severity=finding.severity,
        severity_word=context.word(f"severity.{finding.severity}"),
        title=finding.title.render(language),
        where=place(finding.where, context.recording),
        grade=grade(finding, language),
        confidence=context.word("confidence", value=confidence(finding)),
        remedy=finding.remedy.render(language),
        false_alarm=notes.get("False alarms", ""),
        says=notes.get("What it says", ""),
        evidence=tuple(_evidence(context, finding, drawn=budget[0] >= 0)),
        trial=_trial(context, finding.trial) if finding.trial else None,
        diff="\n".join(map(clean, diff_of(finding, context.recording))),
        consequences=tuple(_view(context, b, budget) for b in branch.consequences),
        key=id(finding),
        open=opened,
    )


def _notes(code: str) -> dict[str, str]:
    """The sections of the rule's reference page, unwrapped; empty for a code that no rule here has."""
    rule = all_rules().get(code)
    module = sys.modules.get(rule.judge.__module__) if rule else None
    documentation = (module.__doc__ or "") if module else ""
    return {name: unwrapped(body) for name, body in sections(documentation).items()}


def unwrapped(text: str) -> str:
    """reStructuredText of a docstring as plain prose: one line per paragraph, single backticks."""
    paragraphs = [" ".join(p.split()) for p in text.split("\n\n")]
    return "\n".join(paragraphs).replace("``", "`").replace("*", "")


def _evidence(context: Context, finding: Finding, *, drawn: bool) -> list[EvidenceView]:
    """Each piece of evidence in words; the first one about a curve also draws it, with the steps of all."""
    marked: dict[tuple[str, str], list[int]] = {}
    keys = [_curve(context, e) for e in finding.evidence]
    for key, evidence in zip(keys, finding.evidence, strict=True):
        marked.setdefault(key, []).extend(evidence.steps)
    views = []
    for key, evidence in zip(keys, finding.evidence, strict=True):
        steps = marked.pop(key, None)
        chart = _evidence_figure(context, evidence, sorted({*steps})) if drawn and steps is not None else None
        language = context.language
        views.append(EvidenceView(evidence.text.render(language), evidence.expected.render(language), chart))
    return views


def _curve(context: Context, evidence: Evidence) -> tuple[str, str]:
    """What tells the curves of two pieces of evidence apart: the value of a single term is the loss itself."""
    terms = context.verdict.terms
    if evidence.signal == signals.TERM_VALUE.name and len(terms) == 1 and terms[0].coefficient == 1:
        return signals.LOSS.name, evidence.label.split("/")[0]
    return evidence.signal, evidence.label


def _evidence_figure(context: Context, evidence: Evidence, steps: Sequence[int]) -> Figure | None:
    """The curve of the signal with the marked steps and what was expected; ``None`` without two records."""
    signal = signals.all_signals().get(evidence.signal)
    if signal is None:
        return None
    labels = context.recording.labels(signal)
    label = evidence.label if evidence.label in labels or not labels else labels[0]
    if label != evidence.label and evidence.label:
        return None
    series = context.series(signal, label)
    if len(series.steps) < 2:
        return None
    name = f"signal.{signal.name}"
    words = context.word(name) if name in WORDS else signal.name
    words = f"{words} {label}" if len(labels) > 1 else words
    stream = label.split("/")[0]
    levels, bands = _expectations(context, evidence, stream)
    marks = [Mark(context.word("mark.event", kind=signal.name, step=s), s) for s in _chosen(steps)]
    line = Line(words, series.steps, series.values, dots=len(series.steps) <= 40)
    unit = signal.unit if signal.unit not in ("1", "loss") else ""
    return figure(
        context, words, [line], unit=unit, levels=levels, bands=bands, marks=marks, height=190.0, points=160
    )


def _chosen(steps: Sequence[int]) -> Sequence[int]:
    return steps[:: max(1, -(-len(steps) // MOST_MARKS))]


def _expectations(context: Context, evidence: Evidence, stream: str) -> tuple[list[Level], list[Band]]:
    """What a healthy run would show.

    A rule states a range by the values ``low`` and ``high`` of its expected text. For a loss without such
    a range it is what a model that has learnt something reaches: between floor and chance level.
    """
    levels: list[Level] = []
    low, high = (_finite(evidence.expected.values.get(key)) for key in ("low", "high"))
    if evidence.signal in _OF_LOSS:
        chance, floor = context.levels(stream)
        if evidence.signal == signals.TERM_VALUE.name and len(context.verdict.terms) == 1:
            chance, floor = context.verdict.terms[0].chance, context.verdict.terms[0].floor
        chance, floor = _finite(chance), _finite(floor)
        if chance is not None:
            levels.append(Level(context.word("chance"), chance, "chance"))
        if floor is not None:
            levels.append(Level(context.word("floor"), floor, "floor"))
        if low is None and high is None and chance is not None and (floor is None or floor < chance):
            low, high = floor, chance
    if low is None and high is None:
        return levels, []
    return levels, [Band(context.word("curve.expected"), low, high)]


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _curve_name(name: str, trial: TrialResult) -> str:
    """A curve that does not run over time says what its points are."""
    return f"{name} ({', '.join(f'{v:g}' for v in trial.at)})" if trial.at else name


def _trial(context: Context, trial: TrialResult) -> TrialView:
    low, high = trial.interval
    words = context.word(
        "experiment-line",
        name=trial.name,
        outcome=context.word(f"trial.{trial.outcome}"),
        effect=number(trial.effect),
        low=number(low),
        high=number(high),
    )
    lines = [
        Line(
            _curve_name(name, trial),
            np.arange(len(values)),
            np.asarray(values, dtype=np.float64),
            style=i % 4,
        )
        for i, (name, values) in enumerate(list(trial.curves.items())[:4])
    ]
    title = f"{context.word('experiment')}: {trial.name}"
    return TrialView(words, figure(context, title, lines, height=190.0, points=120, whole_run=False))
