"""``momentum-too-high``: the updates follow gradients of so long ago that they run past what they look for.

**What it says.** The model does not learn, and the momentum averages over a large part of the run, or the loss swings
up and down as slowly as the momentum forgets.

**Statistic.** Only with a deficit of learning, or a loss that ends worse than a constant's, after 100 updates. The
momentum forgets over τ = 1/(1 − β) updates (β is SGD's ``momentum`` or the first of Adam's ``betas``); reported
where τ is at least half of the run, or where τ ≥ 50 and the loss, averaged over blocks of τ/4 updates, turns at
least four times by more than five standard errors of such a mean.

**Source.** On a quadratic heavy-ball iterates decay like β^(t/2) and oscillate with the period 2π/√(ηλ): Polyak (1964),
doi:10.1016/0041-5553(64)90137-5; Goh (2017), doi:10.23915/distill.00006.

**Example.** ``SGD(model.parameters(), lr=0.1, momentum=0.999)``: steady gradients are multiplied by 1000.

**Remedy.** Use a momentum of 0.9, and the learning rate that belongs to it: η/(1 − β) stays the same.

**False alarms.** Silent on every run that learns, and on a momentum of 0.99 where the loss does not swing.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.course import worse_than_chance
from losscope.rules.deficit import learning_deficit
from losscope.rules.planted import every, falling, optimizer, record
from losscope.rules.reasons import no_event, too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats, difference_scale
from losscope.rules.streams import events_of, line_of, losses, main_stream, updates

_MIN, _SHARE, _LONG, _TURNS, _ERRORS = 100, 0.5, 50, 4, 5.0
_TITLE = Text(
    en="The momentum is too high ({beta:g}): updates average over {memory:.0f} gradients, the run has {updates}",
    zh="动量过高（{beta:g}）：每次更新平均了 {memory:.0f} 个梯度，而整个运行只有 {updates} 次更新",
)
_EVIDENCE = Text(
    en="1/(1 − β) is {memory:.0f} updates; the loss turned {turns} times",
    zh="1/(1 − β) 为 {memory:.0f} 次更新；损失转向 {turns} 次",
)
_EXPECTED = Text(en="about 10 updates (β = 0.9)", zh="约 10 次更新（β = 0.9）")
_REMEDY = Text(
    en="Set momentum (beta1) to 0.9 in place of {beta:g}.",
    zh="把动量（beta1）从 {beta:g} 改为 0.9。",
)


def judge(recording: Recording) -> Outcome:
    deficit = learning_deficit(recording)
    if isinstance(deficit, NotJudged):
        return deficit
    stream = main_stream(recording) or "0"
    seen = updates(recording, stream)
    if seen < _MIN and deficit != "non-finite":
        return too_few(seen, _MIN)
    events = events_of(recording, "optimizer", stream)
    if not events:
        return no_event("optimizer")
    beta = _beta(events[-1])
    memory = 1.0 / max(1.0 - beta, 1e-9)
    if memory < _LONG or (deficit is None and not worse_than_chance(recording)):
        return []
    turns = _turns(losses(recording, stream), memory)
    if memory < _SHARE * seen and turns < _TURNS:
        return []
    evidence = Evidence(
        text=_EVIDENCE(memory=memory, turns=turns),
        signal=signals.LOSS.name,
        label=stream,
        value=memory,
        expected=_EXPECTED(),
    )
    return [
        RULE.finding(
            title=_TITLE(beta=beta, memory=memory, updates=seen),
            confidence=0.8,
            evidence=(evidence,),
            remedy=_REMEDY(beta=beta),
            where=line_of(recording, stream, "optimizer"),
        )
    ]


def _beta(event: dict) -> float:
    """The largest momentum of any group; below 1."""
    found = [0.0]
    for group in event.get("groups") or ():
        found.append(float(group.get("momentum") or 0.0))
        found += [float(b) for b in (group.get("betas") or ())[:1]]
    return min(max(found), 1.0 - 1e-9)


def _turns(curve: Floats, memory: float) -> int:
    """Turning points of the block means whose rise or fall exceeds five standard errors of a block's mean."""
    width = max(5, int(memory / 4))
    count = len(curve) // width
    if count < 5:
        return 0
    means = curve[: count * width].reshape(count, width).mean(axis=1)
    error = difference_scale(curve) / float(np.sqrt(width))
    turns, direction, extreme = 0, 0, float(means[0])
    for value in map(float, means[1:]):
        moved = value - extreme
        if direction * moved >= 0 and direction:
            extreme = value
        elif abs(moved) > _ERRORS * error:
            turns += direction != 0
            direction, extreme = (1 if moved > 0 else -1), value
    return turns


RULE = Rule(
    code="momentum-too-high",
    severity="error",
    title=Text(en="The momentum is too high", zh="动量过高"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "diverging-loss",
        "exploding-gradient",
        "learning-rate-too-high",
        "loss-at-chance",
        "non-finite",
        "oscillating-loss",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def _with_momentum(beta: float) -> dict:
    return {**optimizer(), "groups": [{"lr": 0.1, "momentum": beta, "tensors": 6}]}


def broken() -> Recording:
    """Swings above chance with the slow period of a momentum of 0.999."""
    loss = 3.3 + 0.3 * np.sin(np.arange(600) / 20) + 0.02 * np.random.default_rng(0).standard_normal(600)
    return record(
        loss, series={(signals.UPDATE_RATIO, "0"): every(20, 600, 0.2)}, events=[_with_momentum(0.999)]
    )


def healthy() -> Recording:
    """A momentum of 0.99 in a run that learns."""
    return record(falling(), events=[_with_momentum(0.99)])
