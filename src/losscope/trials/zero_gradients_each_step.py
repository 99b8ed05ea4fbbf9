"""Gradients cleared before every update: is that what the run did, and does the loss then fall further?

Which of the two the run did is an experiment by itself: made again with cleared gradients, the losses and gradients are
those that were seen, or they are so only if each gradient is added to those before. The finding is refuted by the
first, and confirmed by the second. The effect is that of clearing them on the loss of the judged batches.

**Source.** ``torch.Tensor.backward`` accumulates into the leaves.
"""

from losscope.core.finding import TrialResult
from losscope.core.text import Text
from losscope.trials.arms import affordable, compare, effect
from losscope.trials.replay import Replay
from losscope.trials.training import Change
from losscope.trials.trial import Outcomes, Trial

_REFUTED = Text(
    en="made again with gradients cleared at each of {count} updates, the losses are those that were seen",
    zh="在 {count} 次更新中每次都清零梯度后重放，损失与实际一致",
)
_CONFIRMED = Text(
    en="{count} updates are reproduced only if each gradient is added to those before; cleared, the loss goes "
    "from {before} to {changed} in {updates} updates instead of {baseline} (effect {effect})",
    zh="只有把每次梯度叠加到之前的梯度上才能重现这 {count} 次更新；清零后损失在 {updates} 次"
    "更新中从 {before} 变为 {changed}，而不是 {baseline}（效应 {effect}）",
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
    starts, updates = affordable(replay, len(changes), [replay.restore])
    arms = compare(replay, changes, starts, updates=updates)
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
        before=baseline.level[0],
        changed=changed.level[1],
        baseline=baseline.level[1],
        updates=updates,
        effect=str(found),
    )
    return Outcomes(result=result, text=text)


_EXPECTED = Text(
    en="were they cleared, the losses of the run come of clearing them",
    zh="若已清零，则清零后重放应与实际一致",
)
TRIAL = Trial(
    name="zero-gradients-each-step",
    judges=("missing-zero-grad",),
    expected=_EXPECTED,
    run=run,
    early=False,
)
