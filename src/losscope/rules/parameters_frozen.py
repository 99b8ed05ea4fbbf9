"""``parameters-frozen``: parameters that the optimiser holds, and that get gradients, never move.

**What it says.** A part of the model stays as it was although the loss asks it to move; or most of what the optimiser
holds requires no gradient, and the rest cannot learn the task.

**Statistic.** Exact, over all sampled updates and at least five: the gradient was not zero and the change of every
looked-at entry was exactly zero, while other parameters moved: a learning rate of 0 in one group, or values that are
put back. Only where the run is not learning, also: half or more of the tensors in the optimiser have
``requires_grad=False``. *Error* where the run is not learning, else *info*.

**Source.** ``torch.optim``: each parameter group has a learning rate of its own.

**Example.** ``Adam([{"params": encoder.parameters(), "lr": 0.0}, {"params": head.parameters()}])`` in which the encoder
is new; ``requires_grad_(False)`` for a warm-up that is never taken back.

**Remedy.** Give the group a learning rate, or call ``requires_grad_(True)`` before the optimiser is made.

**False alarms.** A frozen backbone in a model that learns is what was meant. Silent on updates that half precision
rounds away (``precision-stalled``) and where nothing moves at all (the learning rate).
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged, Severity
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import learning_deficit
from losscope.rules.planted import PARAMETERS, Planted, every, falling, flat, optimizer, reach, record
from losscope.rules.reach import shorten
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import events_of, line_of, main_stream, values
from losscope.rules.units import in_order

_SAMPLES = 5
_STALLED = 0.1
_STAY = Text(
    en="{count} of {all} parameters never move although they get a gradient: {names}",
    zh="{all} 个参数中有 {count} 个得到梯度却从不移动：{names}",
)
_FROZEN = Text(
    en="{count} of the {all} parameters in the optimiser are frozen, and nothing is learnt: {names}",
    zh="优化器中的 {all} 个参数有 {count} 个被冻结，且模型没有学到东西：{names}",
)
_CHANGE = Text(
    en="gradient norm {gradient:.2g}, change 0 at all {count} sampled updates: {name}",
    zh="{name}：在全部 {count} 次采样更新中，梯度范数为 {gradient:.2g}，变化为 0",
)
_REQUIRES = Text(en="requires_grad is False for {names}", zh="{names} 的 requires_grad 为 False")
_EXPECTED = Text(en="a change wherever there is a gradient", zh="有梯度之处应有变化")
_REMEDY = Text(
    en="Give their parameter group a learning rate above 0, or leave them out of the optimiser if they are to stay.",
    zh="给其所在的参数组设置大于 0 的学习率；若本应保持不变，请将其移出优化器。",
)
_REMEDY_FROZEN = Text(
    en="Call requires_grad_(True) on {names} before the optimiser is made.",
    zh="在创建优化器之前，对 {names} 调用 requires_grad_(True)。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording) or "0"
    deficit = learning_deficit(recording)
    learns = deficit is None or isinstance(deficit, NotJudged)
    severity: Severity = "info" if learns else "error"
    stalled = values(recording, signals.STALLED_SHARE, stream)
    names = in_order(recording, stream, signals.UPDATE_NORM_PARAMETER)
    still = [n for n in names if _stays(recording, n)]
    place = line_of(recording, stream, "optimizer")
    if still and len(still) < len(names) and not (stalled.size and np.median(stalled) > _STALLED):
        gradient = values(recording, signals.GRADIENT_NORM_PARAMETER, still[0])
        count = int(values(recording, signals.UPDATE_NORM_PARAMETER, still[0]).size)
        evidence = Evidence(
            text=_CHANGE(gradient=float(np.median(gradient)), count=count, name=still[0]),
            signal=signals.UPDATE_NORM_PARAMETER.name,
            label=still[0],
            value=0.0,
            expected=_EXPECTED(),
        )
        title, remedy = _STAY(count=len(still), all=len(names), names=shorten(tuple(still))), _REMEDY()
    else:
        looks = events_of(recording, "reach", stream)
        frozen = tuple(str(n) for n in (looks[-1].get("frozen") or ())) if looks else ()
        held = [str(n) for n in looks[-1].get("held") or ()] if looks else []
        if learns or not frozen or 2 * len(frozen) < len(held):
            return []
        evidence = Evidence(
            text=_REQUIRES(names=shorten(frozen)),
            signal=signals.UPDATE_NORM_PARAMETER.name,
            label=frozen[0],
            value=float(len(frozen)),
            expected=_EXPECTED(),
        )
        title = _FROZEN(count=len(frozen), all=len(held), names=shorten(frozen))
        remedy = _REMEDY_FROZEN(names=shorten(frozen))
    return [
        RULE.finding(
            title=title, severity=severity, confidence=0.85, evidence=(evidence,), remedy=remedy, where=place
        )
    ]


def _stays(recording: Recording, name: str) -> bool:
    change = values(recording, signals.UPDATE_NORM_PARAMETER, name)
    gradient = values(recording, signals.GRADIENT_NORM_PARAMETER, name)
    return change.size >= _SAMPLES and not change.any() and gradient.size > 0 and bool(gradient.all())


RULE = Rule(
    code="parameters-frozen",
    severity="error",
    title=Text(en="Parameters are frozen", zh="参数被冻结"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=("learning-rate-too-low", "loss-at-chance", "plateau-above-floor"),
)


def _planted(still: int) -> Planted:
    planted: Planted = {}
    for index, name in enumerate(PARAMETERS):
        planted[signals.UPDATE_NORM_PARAMETER, name] = every(20, 600, 0.0 if index < still else 0.01)
        planted[signals.GRADIENT_NORM_PARAMETER, name] = every(20, 600, 0.3)
    return planted


def broken() -> Recording:
    """The first four layers have a learning rate of 0, and the loss stays at chance."""
    return record(flat(), series=_planted(4), events=[optimizer()])


def healthy() -> Recording:
    """Four layers of five are frozen on purpose, and the model learns."""
    seen = reach(PARAMETERS[4:], PARAMETERS, frozen=PARAMETERS[:4])
    return record(falling(), series=_planted(0), events=[optimizer(), seen])
