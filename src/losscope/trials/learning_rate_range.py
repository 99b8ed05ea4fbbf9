"""The range of learning rates: how far the loss falls at each of nine rates, from a thousandth to a thousand times.

From the kept parameters, or where these are no better than new ones, from new ones, training goes on at every
rate for the same updates. The curve is the loss of the judged batches at the end, by rate. That the rate is too
high is confirmed where the best rate is below it and the loss falls at least twice as far there, significantly;
too low where it is above. Each is refuted where the best rate lies on the other side in the same way.

**Source.** Smith (2017), arXiv:1506.01186, section 3.3.
"""

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.trials.arms import TWICE, Arm, affordable, compare, effect
from losscope.trials.replay import Replay
from losscope.trials.starts import undamaged
from losscope.trials.training import Change
from losscope.trials.trial import Outcome, Outcomes, Trial

_RATES = (1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 1e2, 1e3)
_UPDATES = 16
_TEXT = Text(
    en="over learning rates from ×{lowest:g} to ×{highest:g} the loss falls furthest at ×{best:g}: from {before} to "
    "{changed} in {updates} updates, as it was to {baseline} (effect {effect})",
    zh="学习率从 ×{lowest:g} 到 ×{highest:g}，损失在 ×{best:g} 时下降最多："
    "{updates} 次更新中从 {before} 变为 {changed}，原来变为 {baseline}（效应 {effect}）",
)


def run(replay: Replay, code: str) -> Outcomes | None:
    starts, new = undamaged(replay)
    starts, updates = affordable(replay, len(_RATES), starts[:1], _UPDATES)
    arms: dict[float, Arm] = {}
    for rate in _RATES:
        changes = {"": Change(rate=rate, state=not new)}
        arms[rate] = compare(replay, changes, starts, updates=updates)[""]
    best = max(arms, key=lambda rate: arms[rate].falls[0])
    found = effect(arms[1.0], arms[best])
    outcome: Outcome = "open"
    if found.low > TWICE and arms[best].falls[1] > 0:
        outcome = "confirmed" if (best < 1) == (code == "learning-rate-too-high") else "refuted"
    result = TrialResult(
        name=TRIAL.name,
        outcome=outcome,
        effect=found.value,
        interval=found.interval,
        curves={"loss after training": [arm.curve[-1] for arm in arms.values()]},
        at=_RATES,
    )
    text = _TEXT(
        lowest=_RATES[0],
        highest=_RATES[-1],
        best=best,
        before=arms[best].level[0],
        changed=arms[best].level[1],
        updates=updates,
        baseline=arms[1.0].level[1],
        effect=str(found),
    )
    return Outcomes(result=result, text=text)


_EXPECTED = Text(en="the furthest fall near the rate of the run", zh="应在运行所用学习率附近下降最多")
TRIAL = Trial(
    name="learning-rate-range",
    judges=("learning-rate-too-high", "learning-rate-too-low"),
    expected=_EXPECTED,
    run=run,
)
