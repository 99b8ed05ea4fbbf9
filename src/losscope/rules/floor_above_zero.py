"""``floor-above-zero``: this loss cannot reach zero, so a value well above zero may be excellent.

**What it says.** The smallest value that the term can take with its options and targets, and how much of the
present value is floor.

**Statistic.** None: the floor is exact, or, where it depends on the targets, the mean over the sampled batches.
Reported where it exceeds 1 % of the chance level.

**Source.** The contract of the loss. Label smoothing ε over C classes: −(1−ε+ε/C) ln(1−ε+ε/C) − (C−1)(ε/C) ln(ε/C),
from Szegedy et al. (2016), arXiv:1512.00567. Softmax twice: −ln(e/(e+C−1)).

**Example.** Cross-entropy with label smoothing 0.1 over ten classes: 0.55 is only 0.05 above the floor of 0.50.

**Remedy.** None needed: compare the loss with its floor, not with zero.

**False alarms.** Context only, never a complaint. Silent where the value is no measure of progress.
"""

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules import floor as floors
from losscope.rules.messages import join
from losscope.rules.planted import PlantedTerm, falling, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import is_aimless, main_stream
from losscope.rules.terms import TermView, terms

_SHARE = 0.01
_TITLE = Text(
    en="{kind} cannot fall below {floor:.4g} here, because of ",
    zh="{kind} 在此不可能低于 {floor:.4g}，原因：",
)
_TITLE_MEAN = Text(
    en="{kind} cannot fall below {floor:.3g} on the targets seen, because of ",
    zh="在已见到的目标上，{kind} 不可能低于 {floor:.3g}，原因：",
)
_EVIDENCE = Text(
    en="of the present {value:.4g}, {floor:.4g} is floor and {rest:.4g} can still be gained",
    zh="当前的 {value:.4g} 中，{floor:.4g} 是下限，还可降低 {rest:.4g}",
)
_EXPECTED = Text(en="at best {floor:.4g}", zh="最好为 {floor:.4g}")
_REMEDY = Text(
    en="Nothing to repair: read this loss against its floor, not against zero.",
    zh="无需修复：请以下限而不是以零来衡量这个损失。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording) or "0"
    if is_aimless(recording, stream):
        return []
    return [f for t in terms(recording, stream) if (f := _finding(t)) is not None]


def _finding(term: TermView) -> Finding | None:
    if term.floor is None or not term.floor > _SHARE * abs(term.chance or 0.0) or term.floor <= 0:
        return None
    if term.values.size == 0:
        return None
    recent = term.recent(0.05)
    value = float((recent if recent.size else term.values[-1:]).mean())
    evidence = Evidence(
        text=_EVIDENCE(value=value, floor=term.floor, rest=max(0.0, value - term.floor)),
        signal=signals.TERM_FLOOR.name,
        label=term.label,
        value=term.floor,
        expected=_EXPECTED(floor=term.floor),
    )
    said = _TITLE_MEAN if term.floor_varies else _TITLE
    title = join(said(kind=term.kind, floor=term.floor), floors.reason(term))
    return RULE.finding(title=title, confidence=1.0, evidence=(evidence,), remedy=_REMEDY(), where=term.where)


RULE = Rule(
    code="floor-above-zero",
    severity="info",
    title=Text(en="This loss cannot reach zero", zh="这个损失不可能降到零"),
    judge=judge,
    needs=(signals.LOSS,),
)


def broken() -> Recording:
    """Label smoothing 0.1 over ten classes."""
    term = PlantedTerm(chance=2.303, chance_error=0.001, floor=0.50029, options={"label_smoothing": 0.1})
    return record(falling(end=0.55, noise=0.02), terms=[term])


def healthy() -> Recording:
    """Plain cross-entropy: its floor is zero."""
    return record(falling(end=0.55))
