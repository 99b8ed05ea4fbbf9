"""``loss-at-floor``: the loss is as small as it can get.

**What it says.** The term has reached the smallest value that its formula and options allow; more training
cannot lower it.

**Statistic.** The mean of the last fifth is within 1 % of chance − floor above the floor, and so is the upper
end of its 95 % interval (batch means).

**Source.** The floor is that of the loss's own contract (``losscope losses NAME``); 1 % is the tolerance of the
convergence test.

**Example.** Cross-entropy with label smoothing 0.1 over ten classes at 0.503, whose floor is 0.500.

**Remedy.** None needed: stop training, or measure on held-out data what the training loss can no longer show.

**False alarms.** Context only, never a complaint. Not judged where chance or floor is unknown.
"""

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import PlantedTerm, falling, record
from losscope.rules.reasons import no_chance, no_late_samples
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.batch_means import mean
from losscope.rules.terms import TermView, judged_terms

_TOLERANCE = 0.01
_TITLE = Text(
    en="{kind} is at its floor: {value:.4g}, and it cannot fall below {floor:.4g}",
    zh="{kind} 已达到下限：当前 {value:.4g}，不可能低于 {floor:.4g}",
)
_EVIDENCE = Text(
    en="the mean of the last fifth is {value:.4g}, {percent:.2g} % of chance − floor above the floor",
    zh="最后五分之一的均值为 {value:.4g}，高出下限（随机水平 − 下限）的 {percent:.2g}%",
)
_EXPECTED = Text(en="never below {floor:.4g}", zh="不低于 {floor:.4g}")
_REMEDY = Text(
    en="Nothing to repair: judge further progress on held-out data.",
    zh="无需修复：请用留出数据判断后续进展。",
)


def judge(recording: Recording) -> Outcome:
    found = judged_terms(recording)
    if isinstance(found, NotJudged):
        return found
    known = [term for term in found if term.span is not None]
    if not known:
        return no_chance()
    if all(term.recent().size < 3 for term in known):
        return no_late_samples()
    return [finding for term in known if (finding := _finding(term)) is not None]


def _finding(term: TermView) -> Finding | None:
    recent = term.recent()
    if term.floor is None or term.span is None or recent.size < 3:
        return None
    level = mean(recent)
    if not level.interval()[1] <= term.floor + _TOLERANCE * term.span:
        return None
    percent = 100 * (level.value - term.floor) / term.span
    evidence = Evidence(
        text=_EVIDENCE(value=level.value, percent=percent),
        signal=signals.TERM_VALUE.name,
        label=term.label,
        value=level.value,
        expected=_EXPECTED(floor=term.floor),
    )
    title = _TITLE(kind=term.kind, value=level.value, floor=term.floor)
    return RULE.finding(
        title=title, confidence=0.95, evidence=(evidence,), remedy=_REMEDY(), where=term.where
    )


RULE = Rule(
    code="loss-at-floor",
    severity="info",
    title=Text(en="The loss is as small as it can get", zh="损失已达到下限"),
    judge=judge,
    needs=(signals.LOSS,),
)

_SMOOTHED = PlantedTerm(chance=2.303, chance_error=0.001, floor=0.50029, options={"label_smoothing": 0.1})


def broken() -> Recording:
    """Label smoothing 0.1 over ten classes: the loss ends at 0.5030, its floor is 0.5003."""
    return record(falling(end=0.503, noise=0.003), terms=[_SMOOTHED])


def healthy() -> Recording:
    """The same loss function at 0.8: low for people used to smoothed losses, but not at its floor."""
    return record(falling(end=0.8, noise=0.003), terms=[_SMOOTHED])
