"""The learning rate divided, or multiplied, by 10 and more: does the loss then fall?

``learning-rate-too-high`` is confirmed where a tenth or a hundredth of the rate makes the loss of the judged batches
fall at least twice as far as the rate as it was, significantly, and refuted where neither does. The arms begin at the kept
parameters, or where these are no better than new ones, at new ones: a model that large steps destroyed does
not recover by small ones. ``learning-rate-too-low`` is confirmed in the same way by 10, 100 or 1000 times the rate.

**Source.** The range test of learning rates: Smith (2017), arXiv:1506.01186.
"""

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.trials.arms import TWICE, Arm, Effect, Start, compare, effect
from losscope.trials.replay import Replay
from losscope.trials.starts import undamaged
from losscope.trials.training import Change
from losscope.trials.trial import Outcome, Outcomes, Trial

_FACTORS = {"learning-rate-too-high": (0.1, 0.01), "learning-rate-too-low": (10.0, 100.0, 1000.0)}
_TEXT = Text(
    en="with {factor:g} times the learning rate the loss fell by {changed:.3g} in {updates} updates, as it was by "
    "{baseline:.3g} (effect {effect:.2f}, 95 % interval {low:.2f} to {high:.2f})",
    zh="学习率乘以 {factor:g} 后，损失在 {updates} 次更新中下降 {changed:.3g}，原来下降 {baseline:.3g}"
    "（效应 {effect:.2f}，95 % 区间 {low:.2f} 至 {high:.2f}）",
)
_UPDATES = 32


def run(replay: Replay, code: str) -> Outcomes | None:
    high = code == "learning-rate-too-high"
    starts: list[Start] = [replay.restore]
    new = False
    if high:
        starts, new = undamaged(replay)
    changes = {1.0: Change(state=not new)} | {f: Change(rate=f, state=not new) for f in _FACTORS[code]}
    arms = compare(replay, {f"{f:g}": c for f, c in changes.items()}, starts, updates=_UPDATES)
    baseline = arms["1"]
    found = {f: effect(baseline, arms[f"{f:g}"]) for f in _FACTORS[code]}
    best = max(found, key=lambda f: found[f].value)
    changed = arms[f"{best:g}"]
    outcome = _outcome(found, {f: arms[f"{f:g}"] for f in found})
    chosen = found[best]
    return Outcomes(
        result=TrialResult(
            name=TRIAL.name,
            outcome=outcome,
            effect=chosen.value,
            interval=chosen.interval,
            curves={f"learning rate ×{f:g}": arms[f"{f:g}"].curve for f in (1.0, *sorted(found))},
        ),
        text=_TEXT(
            factor=best,
            updates=_UPDATES,
            changed=changed.falls[0],
            baseline=baseline.falls[0],
            effect=chosen.value,
            low=chosen.low,
            high=chosen.high,
        ),
    )


def _outcome(found: dict[float, Effect], arms: dict[float, Arm]) -> Outcome:
    if any(e.low > TWICE and arms[f].falls[1] > 0 for f, e in found.items()):
        return "confirmed"
    if all(e.high < TWICE or arms[f].falls[2] <= 0 for f, e in found.items()):
        return "refuted"
    return "open"


TRIAL = Trial(name="learning-rate", judges=tuple(_FACTORS), run=run)
