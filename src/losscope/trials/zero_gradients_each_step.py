"""Gradients cleared before every update: is that what the run did, and does the loss then fall further?

Which of the two the run did is an experiment by itself: made again with cleared gradients, the losses and gradients are
those that were seen, or they are so only if each gradient is added to those before. The finding is refuted by the
first, and confirmed by the second. The effect is that of clearing them on the loss of the judged batches.

**Source.** ``torch.Tensor.backward`` accumulates into the leaves.
"""

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.trials.arms import compare, effect
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_REFUTED = Text(
    en="made again with gradients cleared at each of {count} updates, the losses are those that were seen",
    zh="在 {count} 次更新中每次都清零梯度后重放，损失与实际一致",
)
_CONFIRMED = Text(
    en="{count} updates are reproduced only if each gradient is added to those before; cleared, the loss falls by "
    "{changed:.3g} instead of {baseline:.3g} (effect {effect:.2f}, 95 % interval {low:.2f} to {high:.2f})",
    zh="只有把每次梯度叠加到之前的梯度上才能重现这 {count} 次更新；清零后损失下降 {changed:.3g}，而不是 "
    "{baseline:.3g}（效应 {effect:.2f}，95 % 区间 {low:.2f} 至 {high:.2f}）",
)


def run(replay: Replay, code: str) -> Outcomes | None:
    del code
    if replay.cleared:
        seen = [sum(root.value for root in u.roots) for u in replay.window.updates[: replay.proved]]
        result = TrialResult(
            name=TRIAL.name,
            outcome="refuted",
            effect=0.0,
            interval=(0.0, 0.0),
            curves={"as it was": seen, "cleared": seen},
        )
        return Outcomes(result=result, text=_REFUTED(count=replay.proved))
    changes = {"as it was": Change(cleared=False), "cleared": Change(cleared=True)}
    arms = compare(replay, changes, [replay.restore])
    baseline, changed = arms["as it was"], arms["cleared"]
    found = effect(baseline, changed)
    result = TrialResult(
        name=TRIAL.name,
        outcome="confirmed",
        effect=found.value,
        interval=found.interval,
        curves={name: arm.curve for name, arm in arms.items()},
    )
    text = _CONFIRMED(
        count=replay.proved,
        changed=changed.falls[0],
        baseline=baseline.falls[0],
        effect=found.value,
        low=found.low,
        high=found.high,
    )
    return Outcomes(result=result, text=text)


TRIAL = Trial(name="zero-gradients-each-step", judges=("missing-zero-grad",), run=run, early=False)
