"""``plateau-above-floor``: training is stuck at a level that it had already beaten.

**What it says.** The loss is flat, far above its floor, and significantly above the best level of the same run:
a better model was there and has been lost.

**Statistic.** All must hold, after at least 300 updates: the trend of the last half is flat (converged, or its
interval contains zero and lies inside ±5 % of chance − floor); the level is between 10 % and 95 % of chance −
floor above the floor; and the upper 99 % bound of the best stretch earlier in the run (a tenth of it, batch means)
lies below the lower 99 % bound of the last half by 5 % of chance − floor.

**Source.** Batch means: Law (2015), Simulation Modeling and Analysis, section 9.5. Levels: ``benchmarks/calibration``.

**Example.** A classifier at 0.6 nats for 200 updates jumps to 1.1 in one bad update and stays there: dead units.

**Remedy.** Go back to a checkpoint from before the rise, with a smaller learning rate or clipped gradients.

**False alarms.** A level above the floor is *not* reported by itself: noisy targets and small models have one.
Plateaus before a late drop are silent, since nothing better came before them.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.curve import Curve, loss_curve
from losscope.rules.numbers import readable
from losscope.rules.planted import falling, flat, record
from losscope.rules.reasons import no_chance
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.batch_means import Mean, mean
from losscope.rules.terms import terms

_MIN_UPDATES = 300
_FLAT, _LOWEST, _HIGHEST, _LOST = 0.05, 0.10, 0.95, 0.05
_TITLE = Text(
    en="Training is stuck at {level}, above the {best} that it had reached before",
    zh="训练停滞在 {level}，高于此前已达到的 {best}",
)
_EVIDENCE = Text(
    en="the last half is flat at {level}; the best earlier stretch had {best}; the floor is {floor:.3g}",
    zh="后半程平稳在 {level}；此前最好的一段为 {best}；下限为 {floor:.3g}",
)
_EXPECTED = Text(en="at most {best}", zh="不高于 {best}")
_REMEDY = Text(
    en="Go back to a checkpoint from before update {step}, and divide the learning rate by 3 or clip the gradients.",
    zh="回到第 {step} 次更新之前的检查点，把学习率除以 3 或裁剪梯度。",
)


def judge(recording: Recording) -> Outcome:
    curve = loss_curve(recording, minimum=_MIN_UPDATES)
    if isinstance(curve, NotJudged):
        return curve
    if not curve.known:
        return no_chance()
    half = curve.losses[len(curve.losses) // 2 :]
    level, (best, end) = mean(half), _best(curve)
    floor = (terms(recording, curve.stream)[0].floor or 0.0) * _ratio(recording, curve)
    share = (level.value - floor) / curve.scale
    lost = level.interval(0.99)[0] - best.interval(0.99)[1]
    if not (_LOWEST < share < _HIGHEST and _flat(curve) and lost > _LOST * curve.scale):
        return []
    evidence = Evidence(
        text=_EVIDENCE(level=readable(level.value), best=readable(best.value), floor=floor),
        signal=signals.LOSS.name,
        label=curve.stream,
        value=level.value,
        expected=_EXPECTED(best=readable(best.value)),
        steps=(end,),
    )
    title = _TITLE(level=readable(level.value), best=readable(best.value))
    return [RULE.finding(title=title, confidence=0.8, evidence=(evidence,), remedy=_REMEDY(step=end))]


def _flat(curve: Curve) -> bool:
    moved, bound = curve.trend.change, _FLAT * curve.scale
    return -bound < moved.low <= 0 <= moved.high < bound


def _best(curve: Curve) -> tuple[Mean, int]:
    """The lowest stretch of a tenth of the run, and the index at which it ends."""
    width = max(20, len(curve.losses) // 10)
    sums = np.cumsum(np.insert(curve.losses, 0, 0.0))
    rolling = sums[width:] - sums[:-width]
    begin = int(np.argmin(rolling[: max(1, len(curve.losses) // 2 - width)]))
    return mean(curve.losses[begin : begin + width]), begin + width


def _ratio(recording: Recording, curve: Curve) -> float:
    """Loss per unit of the single term."""
    span = terms(recording, curve.stream)[0].span
    return curve.scale / span if span else 1.0


RULE = Rule(
    code="plateau-above-floor",
    severity="warning",
    title=Text(en="Training is stuck above a level that it had reached", zh="训练停滞在曾经达到的水平之上"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("converged",),
)


def broken() -> Recording:
    """The loss is at 0.5 after a third of the run; then some units die, and it stays at 1.0."""
    return record(np.concatenate([falling(300, end=0.5), flat(500, 1.0)]))


def healthy() -> Recording:
    """A small model on noisy labels: flat at 1.1, the best that it has ever been."""
    return record(falling(800, end=1.1, noise=0.05))
