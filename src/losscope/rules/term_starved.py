"""``term-starved``: one loss of several counts so little that it is not learnt.

**What it says.** The objective is a sum of losses. One of them is still at its chance level, others are learnt, and the
one is so small beside the others, by its weight or by its unit, that it has next to no say in the updates.

**Statistic.** Weight × (chance − floor) is what a loss can give at most; the term's is a hundredth of the largest one's
or less. Its skill is at chance (interval, one pass over the data, 100 updates) and its last half does not fall; the
skill of the largest is above 0.1 for sure.

**Source.** Chen et al. (2018), GradNorm, arXiv:1711.02257: tasks whose losses have larger gradients rule the shared
layers; Kendall et al. (2018), arXiv:1705.07115.

**Example.** ``loss = F.mse_loss(price, y) + F.cross_entropy(z, k)`` with prices in thousands: an error of 10⁶ beside
one of 2.3; the classes stay at chance under gradient descent.

**Remedy.** Standardise the targets of a regression, or divide each loss by its chance level: then all begin at 1.

**False alarms.** Context only where the script itself gave the term the smaller weight: that is a choice. Silent on
small terms that are learnt in spite of it, as auxiliary losses are, and on regularisers, which have no chance level.
Labels without any signal look the same: a warning, not an error.
"""

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.curve import has_fallen
from losscope.rules.deficit import LONG_ENOUGH, long_enough
from losscope.rules.numbers import percent, readable
from losscope.rules.planted import PlantedTerm, falling, flat, record
from losscope.rules.reasons import no_event, too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import progress, updates
from losscope.rules.terms import TermView, terms

_SHARE, _LEARNT = 0.01, 0.1
_TITLE = Text(
    en="{kind} has no say in the loss: it can change it by {share} % of what {other} can, and is at chance",
    zh="{kind} 在损失中没有发言权：它最多只能改变 {other} 所能改变的 {share}%，并停留在随机水平",
)
_EVIDENCE = Text(
    en="{kind}: weight times chance is {size}, the loss is {loss:.4g} (chance {chance:.4g}); "
    "{other}: {largest}, learnt",
    zh="{kind}：权重乘以随机水平为 {size}，损失为 {loss:.4g}（随机水平 {chance:.4g}）；{other}：{largest}，已学到",
)
_EXPECTED = Text(en="losses of one size", zh="各项损失大小相当")
_REMEDY = Text(
    en="Divide each loss by its chance level (here {chance:.3g} and {other_chance:.3g}), or standardise the targets of "
    "the larger one.",
    zh="把每项损失除以各自的随机水平（此处为 {chance:.3g} 与 {other_chance:.3g}），或对较大一项的目标做标准化。",
)


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    stream = progress(recording)
    if isinstance(stream, NotJudged):
        return stream
    sized = [(size, term) for term in terms(recording, stream) if term.is_data and (size := _size(term)) > 0]
    if len(sized) < 2:
        return []
    if not long_enough(recording, stream):
        return too_few(updates(recording, stream), LONG_ENOUGH)
    largest, other = max(sized, key=lambda pair: pair[0])
    learnt = other.skill()
    if learnt is None or learnt.low <= _LEARNT:
        return []
    for size, term in sized:
        if size <= _SHARE * largest and _is_at_chance(term):
            return [_finding(term, other, size, largest)]
    return []


def _is_at_chance(term: TermView) -> bool:
    """By its own samples: what the whole loss does is done by the others."""
    found = term.skill()
    return (
        found is not None and found.at_chance() and not has_fallen(term.values[term.values.size // 2 :], 1.5)
    )


def _size(term: TermView) -> float:
    """What a term can give at most: its weight times chance − floor."""
    return term.coefficient * (term.span or 0.0)


def _finding(term: TermView, other: TermView, size: float, largest: float) -> Finding:
    level, chance = float(term.recent().mean()), term.chance or 0.0
    evidence = Evidence(
        text=_EVIDENCE(
            kind=term.kind,
            size=readable(size),
            loss=level,
            chance=chance,
            other=other.kind,
            largest=readable(largest),
        ),
        signal=signals.TERM_VALUE.name,
        label=term.label,
        value=size / largest,
        expected=_EXPECTED(),
    )
    return RULE.finding(
        severity="info" if term.coefficient < other.coefficient else "warning",
        title=_TITLE(kind=term.kind, share=percent(size / largest), other=other.kind),
        confidence=0.8,
        evidence=(evidence,),
        remedy=_REMEDY(chance=chance, other_chance=other.chance or 0.0),
        where=term.where,
    )


RULE = Rule(
    code="term-starved",
    severity="warning",
    title=Text(en="One loss of several has no say", zh="多项损失中有一项没有发言权"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("loss-at-chance",),
)


def broken() -> Recording:
    """Prices with a variance of 10⁶ beside ten classes, which stay at ln 10."""
    return _two(flat(noise=0.002))


def healthy() -> Recording:
    """The same sizes; the classes are learnt all the same."""
    return _two(falling(start=2.3, end=0.5))


def _two(classes: Floats) -> Recording:
    prices = falling(start=1e6, end=1e5)
    mse = PlantedTerm(
        kind="mse", chance=1e6, chance_error=1e3, values=prices, contract={"task": "regression"}
    )
    cross = PlantedTerm(chance=2.303, chance_error=0.001, values=classes)
    return record(prices + classes, terms=[mse, cross])
