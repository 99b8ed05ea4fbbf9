"""``too-few-steps``: the run is too short to be judged on its curve.

**What it says.** Fewer than 30 updates were seen. Faults of the wiring (NaN, a cut graph, a second softmax) are
still reported; everything about trends is not.

**Statistic.** Number of updates of the main objective, below 30.

**Source.** Ten batches of three values are the least on which the batch-means test has a spread to work with.

**Example.** A smoke test with ``max_steps=5``.

**Remedy.** Run at least 30 updates, better 300.

**False alarms.** Context only, never a complaint.
"""

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import falling, record
from losscope.rules.reasons import MIN_UPDATES, no_loss
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import main_stream, updates

_TITLE = Text(
    en="Only {updates} updates: too few to judge the curve", zh="只有 {updates} 次更新：不足以判断损失曲线"
)
_EVIDENCE = Text(en="{updates} updates were seen", zh="观察到 {updates} 次更新")
_EXPECTED = Text(en="at least {needed}", zh="至少 {needed} 次")
_REMEDY = Text(en="Run at least {needed} updates.", zh="至少运行 {needed} 次更新。")


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    seen = updates(recording, stream)
    if seen >= MIN_UPDATES:
        return []
    evidence = Evidence(
        text=_EVIDENCE(updates=seen),
        signal=signals.LOSS.name,
        label=stream,
        value=float(seen),
        expected=_EXPECTED(needed=MIN_UPDATES),
    )
    title, remedy = _TITLE(updates=seen), _REMEDY(needed=MIN_UPDATES)
    return [RULE.finding(title=title, confidence=1.0, evidence=(evidence,), remedy=remedy)]


RULE = Rule(
    code="too-few-steps",
    severity="info",
    title=Text(en="Too few updates to judge the curve", zh="更新次数太少，无法判断损失曲线"),
    judge=judge,
    needs=(signals.LOSS,),
)


def broken() -> Recording:
    """A smoke test of twelve updates."""
    return record(falling(12))


def healthy() -> Recording:
    """Three hundred updates."""
    return record(falling(300))
