"""The learning rate divided, or multiplied, by 10 and more: does the loss then fall?

``learning-rate-too-high`` is confirmed where a tenth or a hundredth of the rate makes the loss of the judged
batches fall at least twice as far, significantly. It is refuted where the loss does not fall at the rate as it
was, and at neither of these, and the intervals leave no room for it. The arms begin at the kept parameters, or
where these are no better than new ones, at new ones: a model that large steps destroyed does not recover by
small ones.

``learning-rate-too-low`` is confirmed in the same way by 10, 100, … times the rate. It is refuted where the loss falls
at none of them although the parameters moved by a hundredth, or do not move at a million times the rate.

**Source.** The range test of learning rates: Smith (2017), arXiv:1506.01186.
"""

from collections.abc import Mapping, Sequence

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.trials.arms import TWICE, Arm, Start, affordable, compare, effect
from losscope.trials.replay import Replay
from losscope.trials.starts import undamaged
from losscope.trials.training import Change
from losscope.trials.trial import Outcome, Outcomes, Trial

_HIGH, _LOW = "learning-rate-too-high", "learning-rate-too-low"
_FACTORS = {_HIGH: (0.1, 0.01), _LOW: tuple(10.0**k for k in range(1, 7))}
_PLANNED = 4  # arms that the time is planned for
_FAR, _MOVED = 0.1, 0.01  # no larger rate is tried; a rate counts as tried
_TEXT = Text(
    en="with {factor:g} times the learning rate the loss went from {before} to {changed} in {updates} updates, as it "
    "was to {baseline} (effect {effect})",
    zh="学习率乘以 {factor:g} 后，损失在 {updates} 次更新中从 {before} 变为 {changed}，原来变为 {baseline}"
    "（效应 {effect}）",
)


def run(replay: Replay, code: str) -> Outcomes | None:
    starts: Sequence[Start] = [replay.restore]
    new = False
    if code == _HIGH:
        starts, new = undamaged(replay)
    starts, updates = affordable(replay, _PLANNED, starts)

    def arm(factor: float) -> Arm:
        change = Change(rate=factor, state=not new)
        return compare(replay, {"": change}, starts, updates=updates)[""]

    baseline, arms = arm(1.0), dict[float, Arm]()
    for factor in _FACTORS[code]:
        arms[factor] = arm(factor)
        if arms[factor].moved > _FAR if code == _LOW else _cured(baseline, arms[factor]):
            break
    best = max(arms, key=lambda f: arms[f].falls[0])
    found = effect(baseline, arms[best])
    result = TrialResult(
        name=TRIAL.name,
        outcome=_outcome(code, baseline, arms),
        effect=found.value,
        interval=found.interval,
        curves={f"learning rate ×{f:g}": a.curve for f, a in sorted({1.0: baseline, **arms}.items())},
    )
    text = _TEXT(
        factor=best,
        before=baseline.level[0],
        changed=arms[best].level[1],
        baseline=baseline.level[1],
        updates=updates,
        effect=str(found),
    )
    return Outcomes(result=result, text=text)


def _cured(baseline: Arm, changed: Arm) -> bool:
    return effect(baseline, changed).low > TWICE and changed.falls[1] > 0


def _outcome(code: str, baseline: Arm, arms: Mapping[float, Arm]) -> Outcome:
    if any(_cured(baseline, arm) for arm in arms.values()):
        return "confirmed"
    if any(arm.falls[1] > 0 for arm in (baseline, *arms.values()) if code == _HIGH or arm is not baseline):
        return "open"  # where the loss falls as it was, the window does not show the trouble
    if any(effect(baseline, arm).high > TWICE for arm in arms.values()):
        return "open"  # the interval leaves room for it
    tried = code == _HIGH or len(arms) == len(_FACTORS[_LOW]) or any(a.moved > _MOVED for a in arms.values())
    return "refuted" if tried else "open"


_EXPECTED = Text(en="no further fall, were the rate right", zh="若学习率合适，则不会下降更多")
TRIAL = Trial(name="learning-rate", judges=tuple(_FACTORS), expected=_EXPECTED, run=run)
