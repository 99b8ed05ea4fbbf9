"""The first screen: the sentence, the cause, the action, the facts and the counts."""

from dataclasses import dataclass
from typing import Any

from losscope.report.page.context import Context
from losscope.report.values import duration, number
from losscope.report.view import (
    branches,
    complaints,
    confidence,
    evidence_line,
    grade,
    losses_told,
    place,
    run_name,
    term_line,
    watching_cost,
)


@dataclass(frozen=True, slots=True)
class Hero:
    """One sentence; one cause, one action and the grade of the evidence where there is something to do."""

    state: str
    state_word: str
    sentence: str
    cause: str
    code: str
    cause_text: str
    also: str
    where: str
    action: str
    grade: str
    confidence: str
    evidence: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Count:
    kind: str
    number: int
    name: str
    anchor: str


def hero(context: Context, anchors: dict[int, str]) -> Hero:
    """``anchors`` gives the id of each finding on the page, by the finding's identity in memory."""
    verdict, language = context.verdict, context.language
    branch = next(iter(complaints(branches(verdict))), None)
    top = branch.finding if branch else None
    codes = branch.codes() if branch else []
    sentence = verdict.sentence.render(language)
    cause = top.title.render(language) if top else ""
    empty = verdict.state == "not-enough-evidence"
    action = context.word("more-evidence" if empty else "no-action")
    return Hero(
        state=verdict.state,
        state_word=context.word(f"state.{verdict.state}"),
        sentence=sentence,
        cause=cause,
        code=top.code if top else "",
        # Where the sentence already is the cause, the reader is not told the same thing twice.
        cause_text="" if sentence.startswith(cause) else cause,
        also=context.word("consequences-line", count=len(codes), codes=", ".join(codes)) if codes else "",
        where=place(top.where, context.recording) if top else "",
        action=top.remedy.render(language) if top else action,
        grade=grade(top, language) if top else "",
        confidence=context.word("confidence", value=confidence(top)) if top else "",
        evidence=evidence_line(top, language) if top else "",
        anchor=anchors.get(id(top), "") if top else "",
    )


def facts(context: Context) -> list[tuple[str, str]]:
    """Name and value of what a reader asks first about a run."""
    verdict, training = context.verdict, context.verdict.training
    run, rows = context.recording.run, []
    if script := run_name(context.recording):
        rows.append(("script", script))
    rows.append(("training", context.word(f"status.{training.status}")))
    rows.append(("updates", number(training.steps)))
    rows.append(("time", duration(training.seconds)))
    if training.first_loss is not None:
        rows.append(("loss", losses_told(training, context.language)))
    if len(verdict.terms) == 1 and verdict.terms[0].chance is not None:
        rows.append(("objective-now", term_line(verdict.terms[0], context.recording, context.language)))
    if validation := training.validation:
        best, last = number(validation.best), number(validation.last)
        rows.append(("validation", context.word("best-last", best=best, last=last)))
    if optimisers := _optimisers(context):
        rows.append(("optimiser", optimisers))
    if parameters := _parameters(context):
        rows.append(("parameters", parameters))
    rows.append(("overhead", context.word("overhead-of", value=watching_cost(training))))
    if isinstance(started := run.get("started"), str):
        rows.append(("started", started.replace("T", " ").replace("Z", " UTC")))
    return [(context.word(key), value) for key, value in rows]


def _optimisers(context: Context) -> str:
    seen: list[str] = []
    for event in context.recording.events_of("optimizer"):
        groups = event.get("groups")
        first: Any = groups[0] if isinstance(groups, list) and groups else {}
        rate = first.get("lr") if isinstance(first, dict) else None
        shown = f", lr {number(rate)}" if isinstance(rate, int | float) else ""
        seen.append(f"{event.get('name', '?')}{shown}")
    return "; ".join(dict.fromkeys(seen))


def _parameters(context: Context) -> str:
    total = 0
    for event in context.recording.events_of("model"):
        parameters = event.get("parameters")
        if isinstance(parameters, dict):
            sizes = [p.get("numel") for p in parameters.values() if isinstance(p, dict)]
            total += sum(n for n in sizes if isinstance(n, int))
    return number(total) if total else ""


def counts(context: Context) -> list[Count]:
    """How many findings of each severity, passed checks and checks that could not be made."""
    found = context.verdict.findings

    def of(severity: str) -> int:
        return sum(f.severity == severity for f in found)

    errors, warnings, notes = of("error"), of("warning"), of("info")
    rows = [
        ("error", errors, "count.error" if errors == 1 else "count.errors", "findings"),
        ("warning", warnings, "count.warning" if warnings == 1 else "count.warnings", "findings"),
        ("info", notes, "count.note" if notes == 1 else "count.notes", "findings"),
        ("passed", len(context.verdict.passed), "count.passed", "passed"),
        ("unjudged", len(context.verdict.not_judged), "count.not-judged", "unseen"),
    ]
    return [Count(kind, n, context.word(name), anchor) for kind, n, name, anchor in rows]
