"""What the objective is made of: a table of what each term adds, and the terms as curves of one scale."""

from dataclasses import dataclass

from losscope.report.charts.line import Level, Line
from losscope.report.page.context import Context
from losscope.report.page.figures import Figure, figure
from losscope.report.values import number, percent
from losscope.rules.composition import Composition, composition
from losscope.rules.remark import remark
from losscope.rules.streams import is_aimless, main_stream
from losscope.rules.terms import TermView

MOST_LINES = 4


@dataclass(frozen=True, slots=True)
class CompositionView:
    """``rows`` are term, coefficient × value, what that makes, and its share; the last one is the total."""

    remarks: tuple[str, ...]
    rows: tuple[tuple[str, str, str, str], ...]
    figure: Figure | None


def composition_view(context: Context) -> CompositionView | None:
    """``None`` for an objective of one term. Without a late sample of every term there is only the figure."""
    recording, stream = context.recording, main_stream(context.recording)
    found = composition(recording, stream) if stream is not None else Composition(())
    if stream is None or len(found.parts) < 2:
        return None
    aimless = is_aimless(recording, stream)
    remarks = [] if aimless else _remarks(context, found)
    drawing = None if aimless else _relative(context, [part.term for part in found.parts])
    rows = _rows(context, found)
    return CompositionView(tuple(remarks), rows, drawing) if rows or drawing or remarks else None


def _remarks(context: Context, found: Composition) -> list[str]:
    said = remark(found)
    return [said.render(context.language).strip()] if said is not None else []


def _rows(context: Context, found: Composition) -> tuple[tuple[str, str, str, str], ...]:
    if found.total is None:
        return ()
    positive = all((part.contribution or 0.0) >= 0 for part in found.parts)
    rows = [
        (
            part.term.kind,
            f"{number(part.term.coefficient)} × {number(part.value)}",
            number(part.contribution),
            percent(share) if positive else "",
        )
        for part, share in zip(found.parts, found.shares, strict=True)
    ]
    return (*rows, (context.word("composition.total"), "", number(found.total), ""))


def _relative(context: Context, terms: list[TermView]) -> Figure | None:
    """Every term divided by its chance level, or by its first value where that is not known."""
    lines = []
    for term in terms[:MOST_LINES]:
        base, name = _base(term)
        if base is None or term.values.size < 2:
            continue
        words = context.word(name, name=term.kind, base=number(base))
        lines.append(Line(words, term.steps, term.values / base, style=len(lines)))
    title = context.word("curve.relative")
    return figure(context, title, lines, levels=[Level("1", 1.0, "chance")], height=220.0)


def _base(term: TermView) -> tuple[float | None, str]:
    if term.chance is not None and term.chance > 0:
        return term.chance, "curve.by-chance"
    first = float(term.values[0]) if term.values.size else 0.0
    return (first, "curve.by-first") if first > 0 else (None, "")
