"""The commonest experiment: training goes on as it was, and with one thing changed.

A finding is *confirmed* where the change makes the loss of the judged batches fall at least twice as far,
significantly, and fall at all, or fall where it rises as it was. It is *refuted* where the loss does not fall
as it was, so that the trouble is there, and neither with the change, and the interval leaves no room for twice
as far. All else is left open: where the loss falls as it was, the window does not show the trouble. Some
findings are decided by a fact of the replay alone (`by_fact`).
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np

from losscope.core.finding import TrialResult
from losscope.core.text import Message, Text
from losscope.trials.arms import TWICE, Arm, Effect, Start, affordable, compare, effect, interval
from losscope.trials.replay import Replay
from losscope.trials.training import Change, Mode
from losscope.trials.trial import Outcome, Outcomes

AS_IT_WAS = "as it was"
NOT_MORE = Text(en="no further fall", zh="损失不应下降更多")
_TEXT = Text(
    en="{what}, the loss went from {before} to {changed} in {updates} updates, as it was from {first} to {baseline} "
    "(effect {effect})",
    zh="{what}，损失在 {updates} 次更新中从 {before} 变为 {changed}，原来从 {first} 变为 {baseline}（效应 {effect}）",
)
Decide = Callable[[Arm, Arm, Effect], Outcome]


def cured(baseline: Arm, changed: Arm, found: Effect) -> Outcome:
    """Falls twice as far; see above."""
    if changed.falls[1] > 0 and (found.low > TWICE or baseline.falls[2] < 0):
        return "confirmed"
    falls = baseline.falls[1] > 0 or changed.falls[1] > 0
    return "open" if falls or found.high > TWICE else "refuted"


def further(_baseline: Arm, changed: Arm, found: Effect) -> Outcome:
    """For faults that are known to be there: any further fall confirms that they do harm, and nothing refutes it."""
    return "confirmed" if found.low > 0 and changed.falls[1] > 0 else "open"


def pair(
    replay: Replay,
    name: str,
    what: Text,
    change: Change,
    *,
    baseline: Change | None = None,
    judge: Mode = nullcontext,
    within: Mode = nullcontext,
    starts: Sequence[Start] = (),
    decide: Decide = cured,
) -> Outcomes:
    """Both arms from every start (where the window began, unless others are given). ``what`` begins the sentence.

    ``within`` surrounds the changed arm: what a ``Change`` of single updates cannot say.
    """
    starts, updates = affordable(replay, 2, starts or [replay.restore])
    before = compare(replay, {name: baseline or Change()}, starts, updates=updates, judge=judge)[name]
    with within():
        changed = compare(replay, {name: change}, starts, updates=updates, judge=judge)[name]
    return answer(name, what, before, changed, updates, decide)


def level(baseline: Arm, changed: Arm, found: Effect) -> Outcome:
    """For arms that begin at different losses: as it was, the loss ends above half the way that it went down with the
    change (confirmed), or it ends no higher, or neither falls (refuted)."""
    if not np.isfinite(baseline.last).all():
        return "confirmed" if changed.falls[1] > 0 else "open"
    _, low, high = interval(baseline.last - changed.last)
    if changed.falls[1] > 0:
        return "confirmed" if low > changed.falls[0] / 2 else "refuted" if high <= 0 else "open"
    return cured(baseline, changed, found)


def answer(
    name: str, what: Text, baseline: Arm, changed: Arm, updates: int, decide: Decide = cured
) -> Outcomes:
    """What two arms say."""
    found = effect(baseline, changed)
    result = TrialResult(
        name=name,
        outcome=decide(baseline, changed, found),
        effect=found.value,
        interval=found.interval,
        curves={AS_IT_WAS: baseline.curve, label(name): changed.curve},
    )
    text = _TEXT(
        what=what(),
        before=changed.level[0],
        changed=changed.level[1],
        updates=updates,
        first=baseline.level[0],
        baseline=baseline.level[1],
        effect=str(found),
    )
    return Outcomes(result=result, text=text)


def by_fact(
    name: str, outcome: Outcome, text: Message, seen: Sequence[float], made: Sequence[float] = ()
) -> Outcomes:
    """An answer that no arms are needed for: ``seen`` and ``made`` are losses of the same updates."""
    curves = {AS_IT_WAS: list(seen), label(name): list(made or seen)}
    result = TrialResult(name=name, outcome=outcome, effect=0.0, interval=(0.0, 0.0), curves=curves)
    return Outcomes(result=result, text=text)


def label(name: str) -> str:
    """What the curve of the changed arm is called."""
    return name.replace("-", " ")
