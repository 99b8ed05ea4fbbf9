"""``still-falling``: training stopped while the loss was still going down.

**What it says.** Over the last half of the run the loss fell beyond its noise, and by more than 1 % of what there
is to gain: longer training would lower it further.

**Statistic.** Batch-means slope test on the last half: ten batches, Student's t with 8 degrees of freedom. The
95 % interval of the change lies below zero, and its middle below −1 % of chance − floor (of the range covered,
where those are unknown).

**Source.** Law (2015), Simulation Modeling and Analysis, section 9.5. An ordinary slope test would say "falling"
in 40 % of flat runs with autocorrelated noise; this one in 7 % (``tests/rules``).

**Example.** A network stopped after one epoch at 0.9 nats, having fallen from 1.4 in the second half.

**Remedy.** Train longer, or raise the learning rate; not where the validation loss has passed its best.

**False alarms.** Context only, never a complaint.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.curve import loss_curve
from losscope.rules.evaluations import held_out
from losscope.rules.planted import falling, record
from losscope.rules.rule import Outcome, Rule

_TITLE = Text(
    en="The loss is still falling: by {fallen:.3g} over the last {window} updates",
    zh="损失仍在下降：最后 {window} 次更新中下降了 {fallen:.3g}",
)
_EVIDENCE = Text(
    en="change over the last half: {change:.3g}, 95 % interval {low:.3g} to {high:.3g}",
    zh="后半程的变化：{change:.3g}，95% 区间为 {low:.3g} 至 {high:.3g}",
)
_EXPECTED = Text(en="within ±{bound:.3g} once converged", zh="收敛后应在 ±{bound:.3g} 之内")
_REMEDY = Text(
    en="Train longer: the loss had not settled when the run ended.",
    zh="继续训练：运行结束时损失尚未稳定。",
)

_REMEDY_HELD_OUT = Text(
    en="Look at the validation loss before training longer: it was best at update {step} and has risen since.",
    zh="在继续训练之前先看验证损失：它在第 {step} 次更新时最好，此后有所上升。",
)


def judge(recording: Recording) -> Outcome:
    curve = loss_curve(recording)
    if isinstance(curve, NotJudged):
        return curve
    moved, bound = curve.trend.change, curve.trend.tolerance * curve.scale
    if curve.trend.direction != "falling" or moved.value > -bound:
        return []
    evidence = Evidence(
        text=_EVIDENCE(change=moved.value, low=moved.low, high=moved.high),
        signal=signals.LOSS.name,
        label=curve.stream,
        value=moved.value,
        expected=_EXPECTED(bound=bound),
    )
    title = _TITLE(fallen=-moved.value, window=curve.window)
    return [RULE.finding(title=title, confidence=0.9, evidence=(evidence,), remedy=_remedy(recording))]


def _remedy(recording: Recording) -> Message:
    """Longer training is no advice where the last two of at least three evaluations lie above the best one."""
    validation = held_out(recording)
    if validation is not None and len(validation.values) >= 3:
        best = int(np.nanargmin(validation.values))
        if best < len(validation.values) - 2:
            return _REMEDY_HELD_OUT(step=int(validation.steps[best]))
    return _REMEDY()


RULE = Rule(
    code="still-falling",
    severity="info",
    title=Text(en="The loss is still falling", zh="损失仍在下降"),
    judge=judge,
    needs=(signals.LOSS,),
)


def broken() -> Recording:
    """A run cut off in the middle of its fall."""
    return record(falling(1800)[:240])


def healthy() -> Recording:
    """A run that reached its level long before its end."""
    return record(falling())
