"""The anatomy of the objective: its expression and, for each term, where its value stands."""

from dataclasses import dataclass

from losscope.core.finding import Where
from losscope.core.verdict import TermSummary
from losscope.report.charts.gauge import gauge
from losscope.report.page.composition import CompositionView, composition_view
from losscope.report.page.context import Context
from losscope.report.values import in_unit, number, percent
from losscope.report.view import place, term_line


@dataclass(frozen=True, slots=True)
class TermView:
    kind: str
    words: str
    gauge: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ObjectiveView:
    expression: str
    where: str
    composition: CompositionView | None
    terms: tuple[TermView, ...]


def objective_view(context: Context) -> ObjectiveView | None:
    """``None`` where no objective was read."""
    verdict = context.verdict
    if not verdict.expression and not verdict.terms:
        return None
    events = context.recording.events_of("anatomy")
    last = next((e for e in reversed(events) if e.get("expression") == verdict.expression), {})
    read_at = last.get("where")
    where = ""
    if isinstance(read_at, dict) and isinstance(read_at.get("line"), int):
        where = place(Where(str(read_at.get("file")), read_at["line"]), context.recording)
    terms = tuple(_term(context, term) for term in verdict.terms)
    return ObjectiveView(verdict.expression, where, composition_view(context), terms)


def _term(context: Context, term: TermSummary) -> TermView:
    words = term_line(term, context.recording, context.language)
    unit = "" if term.reduction == "sum" else term.unit
    rows = [
        ("coefficient", number(term.coefficient)),
        ("reduction", term.reduction),
        ("value", in_unit(term.value, unit)),
        ("chance-level", number(term.chance) if term.chance is not None else context.word("unknown")),
        ("floor-level", number(term.floor) if term.floor is not None else context.word("unknown")),
        *_compared(context, term, unit),
    ]
    if term.prediction_shape:
        rows.append(("prediction", " × ".join(map(str, term.prediction_shape))))
    rows.append(("activation", term.activation or context.word("activation.none")))
    if term.options:
        rows.append(("options", ", ".join(f"{k}={_short(v)}" for k, v in term.options.items())))
    drawing = ""
    if term.value_is_progress:
        drawing = gauge(
            context.identity(f"gauge-{term.kind}"),
            term.kind,
            f"{context.word('gauge.text')} {words}",
            value=term.value,
            chance=term.chance,
            floor=term.floor,
            words=(context.word("floor"), context.word("chance")),
        )
    return TermView(term.kind, words, drawing, tuple((context.word(k), v) for k, v in rows))


def _compared(context: Context, term: TermSummary, unit: str) -> list[tuple[str, str]]:
    """The value against its floor, its chance level, the value that counts as 1, and where it began."""
    rows = []
    if term.excess is not None and term.floor and term.excess >= 0:
        rows.append(("above-floor", in_unit(term.excess, unit)))
    if (share := term.relative(term.chance)) is not None and share >= 0:
        rows.append(("relative-chance", percent(share)))
    if (share := term.relative(term.normaliser)) is not None and share >= 0:
        base = number(term.normaliser)
        rows.append(
            ("relative-normaliser", context.word("relative-normaliser.value", value=number(share), base=base))
        )
    if (share := term.relative(term.first)) is not None and share >= 0:
        told = context.word("relative-of", share=percent(share), base=number(term.first))
        rows.append(("relative-first", told))
    if term.skill is not None:
        rows.append(("skill", number(term.skill)))
    return rows


def _short(value: object) -> str:
    text = number(value) if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
