"""``schedule-broken``: the learning rate does not follow the schedule that the script meant.

**What it says.** One of: a scheduler was made and never stepped; it was stepped once per update although its horizon
counts epochs, or once per epoch although its horizon counts updates; the learning rate came down to nothing while the
loss was still falling; a cosine ran past its end, the learning rate rose again, and the loss with it.

**Statistic.** Counts, compared exactly: steps of the scheduler, updates, passes over the data, the scheduler's own
horizon (``T_max``, ``total_steps``, ``total_iters``). *Per update* (a cosine): at least half as many steps as
updates, over five times the horizon, and the horizon is at most the number of passes (a twentieth of the steps
where passes are not known). *Per epoch*: at most one step per pass and one more, over ten times as many updates,
and a horizon within a factor of two of the number of updates. *Too soon*: for over 30 % of the run the learning
rate was below 10⁻³ of its largest; until then the loss was falling (batch-means slope test of the half before it,
95 %, by over 1 % of chance − floor), or the data had not been passed once or 30 updates made, or a decay by a
factor per step, stepped at every update, ended it in the first half, before the loss had settled; and the loss lies
above its floor by 5 % of chance − floor. *Up again*: a cosine past 1.2 times its horizon, and the mean loss of the
last twentieth above that at the lowest rate, with disjoint 95 % intervals.

**Source.** ``torch.optim.lr_scheduler``: the unit of every horizon is a call of ``step()``. Cosine: Loshchilov and
Hutter (2017), arXiv:1608.03983.

**Example.** ``StepLR(optimizer, step_size=30)`` with ``scheduler.step()`` inside the loop over batches: after 90
batches the learning rate is a thousandth, and nothing moves for the rest of the ten epochs.

**Remedy.** Call ``scheduler.step()`` where its horizon is counted: in the loop over epochs for epochs, after
every ``optimizer.step()`` for updates.

**False alarms.** Silent on warm-up from zero, on a decay to zero at the end of the run, on warm restarts, on OneCycle
stepped per update, on a constant rate without a scheduler, on a plateau scheduler that acts after the loss has
settled, and on scripts that ended early.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, Where
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.numbers import readable
from losscope.rules.planted import PLACE, every, falling, flat, optimizer, record
from losscope.rules.reasons import too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.schedule import Scheduler, is_constant, last_above, lowest_rate, schedulers
from losscope.rules.statistics.batch_means import change, covered_range, mean
from losscope.rules.streams import epochs, is_aimless, line_of, loss_series, main_stream, updates
from losscope.rules.terms import natural_scale, terms

_MIN_UPDATES, _ALONE = 60, 200
_NOTHING, _IDLE = 1e-3, 0.3
_MANY, _PASSES_UNKNOWN, _PER_EPOCH = 5, 20, 10
_NEVER = Text(
    en="The scheduler ({name}) was made but never stepped: the learning rate stayed at {rate:g}",
    zh="创建了调度器（{name}）却从未调用 step()：学习率始终为 {rate:g}",
)
_PER_UPDATE = Text(
    en="The scheduler ({name}) is stepped once per update, but its horizon of {horizon:g} counts epochs",
    zh="调度器（{name}）每次更新都前进一步，但它的周期 {horizon:g} 是按轮次计的",
)
_PER_PASS = Text(
    en="The scheduler ({name}) is stepped once per epoch, but its horizon of {horizon:g} counts updates",
    zh="调度器（{name}）每轮只前进一步，但它的周期 {horizon:g} 是按更新次数计的",
)
_TOO_SOON = Text(
    en="The learning rate came down to nothing at update {at} of {updates}, while the loss was still falling",
    zh="学习率在第 {at} 次更新（共 {updates} 次）时已降到几乎为零，而损失仍在下降",
)
_UP_AGAIN = Text(
    en="The cosine schedule ran past its end: the learning rate rose again from update {at} on, and the loss with it",
    zh="余弦调度越过了终点：从第 {at} 次更新起学习率重新上升，损失也随之上升",
)
_COUNTS = Text(
    en="{steps} scheduler steps, {updates} updates, {passes} passes over the data, horizon {horizon}",
    zh="调度器前进 {steps} 步，更新 {updates} 次，遍历数据 {passes} 轮，周期 {horizon}",
)
_RATES = Text(
    en="below {share:g} of its largest value ({largest:g}) for {percent:.0f} % of the run; the loss was {level} then",
    zh="在 {percent:.0f}% 的运行时间里低于最大值（{largest:g}）的 {share:g}；当时损失为 {level}",
)
_LOSSES = Text(
    en="the loss was {low} at the lowest learning rate and {end} at the end",
    zh="学习率最低时损失为 {low}，结束时为 {end}",
)
_EXPECTED_COUNTS = Text(en="as many steps as the horizon counts", zh="前进步数应与周期的单位一致")
_EXPECTED_RATE = Text(en="a rate that lasts to the end of the run", zh="学习率应维持到运行结束")
_EXPECTED_LOSS = Text(en="a loss that ends at its lowest", zh="损失应在结束时最低")
_REMEDY_STEP = Text(
    en="Call scheduler.step() once per epoch, after the updates of the epoch.",
    zh="每轮结束、完成该轮更新之后调用一次 scheduler.step()。",
)
_REMEDY_BATCH = Text(
    en="Call scheduler.step() right after every optimizer.step().",
    zh="在每次 optimizer.step() 之后调用 scheduler.step()。",
)
_REMEDY_LONGER = Text(
    en="Make the schedule last as long as the run, for instance CosineAnnealingLR(optimizer, T_max={updates}) "
    "stepped after every update.",
    zh="让调度持续到运行结束，例如 CosineAnnealingLR(optimizer, T_max={updates})，每次更新后前进一步。",
)
_REMEDY_HORIZON = Text(
    en="Set T_max to the number of scheduler steps of the whole run: {steps}.",
    zh="把 T_max 设为整个运行中调度器的步数：{steps}。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording) or "0"
    seen = updates(recording, stream)
    if seen < _MIN_UPDATES:
        return too_few(seen, _MIN_UPDATES)
    for scheduler in schedulers(recording, stream):
        found = _miscounted(recording, stream, scheduler) or _up_again(recording, stream, scheduler)
        if found:
            return [found]
    found = _too_soon(recording, stream)
    return [found] if found else []


def _miscounted(recording: Recording, stream: str, scheduler: Scheduler) -> Finding | None:
    if not scheduler.counted or not _finished(recording):
        return None
    seen, passes = updates(recording, stream), epochs(recording)
    steps, horizon = scheduler.steps, scheduler.horizon
    if steps == 0:
        waited = passes >= 2 or (passes == 0 and seen >= _ALONE)
        if not waited or not is_constant(recording, stream):
            return None
        rate = float(recording.series(signals.LEARNING_RATE, f"{stream}/0").values[-1])
        title = _NEVER(name=scheduler.name, rate=rate)
        remedy = _REMEDY_BATCH() if horizon and horizon > seen / 2 else _REMEDY_STEP()
        return _counted(recording, stream, scheduler, title, remedy, scheduler.made)
    if horizon is None:
        return None
    unit = max(passes + 1, 2) if passes >= 2 else steps / _PASSES_UNKNOWN
    cosine = scheduler.name == "CosineAnnealingLR"
    if cosine and steps >= seen / 2 and steps > _MANY * horizon and horizon <= unit:
        title = _PER_UPDATE(name=scheduler.name, horizon=horizon)
        return _counted(recording, stream, scheduler, title, _REMEDY_STEP(), scheduler.stepped)
    per_pass = steps <= passes + 1 and seen > _PER_EPOCH * steps
    if passes >= 1 and per_pass and seen / 2 <= horizon <= 2 * seen:
        title = _PER_PASS(name=scheduler.name, horizon=horizon)
        return _counted(recording, stream, scheduler, title, _REMEDY_BATCH(), scheduler.stepped)
    return None


def _finished(recording: Recording) -> bool:
    ends = recording.events_of("script-end")
    return bool(ends) and ends[-1].get("status") in {"finished", "exit"}


def _counted(
    recording: Recording,
    stream: str,
    scheduler: Scheduler,
    title: Message,
    remedy: Message,
    place: Where | None,
) -> Finding:
    passes = epochs(recording)
    evidence = Evidence(
        text=_COUNTS(
            steps=scheduler.steps,
            updates=updates(recording, stream),
            passes=passes or "?",
            horizon="?" if scheduler.horizon is None else f"{scheduler.horizon:g}",
        ),
        signal=signals.SCHEDULER_STEPS.name,
        label=stream,
        value=float(scheduler.steps),
        expected=_EXPECTED_COUNTS(),
    )
    return RULE.finding(title=title, confidence=0.9, evidence=(evidence,), remedy=remedy, where=place)


def _up_again(recording: Recording, stream: str, scheduler: Scheduler) -> Finding | None:
    horizon = scheduler.horizon
    if (
        scheduler.name != "CosineAnnealingLR"
        or not horizon
        or not 1.2 * horizon < scheduler.steps < 2.5 * horizon
    ):
        return None
    at = lowest_rate(recording, stream)
    if at is None or is_aimless(recording, stream):
        return None
    series = loss_series(recording, stream)
    width = max(20, len(series) // 20)
    middle = int(np.searchsorted(series.steps, at))
    then, now = series.values[max(0, middle - width // 2) : middle + width // 2], series.values[-width:]
    if then.size < 20 or now.size < 20:
        return None
    low, end = mean(then), mean(now)
    if not end.interval(0.95)[0] > low.interval(0.95)[1]:
        return None
    evidence = Evidence(
        text=_LOSSES(low=readable(low.value), end=readable(end.value)),
        signal=signals.LOSS.name,
        label=stream,
        value=end.value,
        expected=_EXPECTED_LOSS(),
        steps=(at,),
    )
    return RULE.finding(
        title=_UP_AGAIN(at=at),
        confidence=0.85,
        evidence=(evidence,),
        remedy=_REMEDY_HORIZON(steps=scheduler.steps),
        where=scheduler.made,
    )


def _too_soon(recording: Recording, stream: str) -> Finding | None:
    fallen = last_above(recording, stream, _NOTHING)
    seen = updates(recording, stream)
    if fallen is None or is_aimless(recording, stream):
        return None
    at, largest = fallen
    idle = 1.0 - at / seen
    if idle <= _IDLE or not _unfinished(recording, stream, at):
        return None
    series = loss_series(recording, stream)
    level = float(np.median(series.values[series.steps >= at]))
    evidence = Evidence(
        text=_RATES(share=_NOTHING, largest=largest, percent=100 * idle, level=readable(level)),
        signal=signals.LEARNING_RATE.name,
        label=f"{stream}/0",
        value=idle,
        expected=_EXPECTED_RATE(),
        steps=(at,),
    )
    made = schedulers(recording, stream)
    often = next((s for s in made if 2 * s.steps >= seen and epochs(recording) >= 2), None)
    place = next((s.stepped or s.made for s in made), None) or line_of(recording, stream, "optimizer")
    remedy = _REMEDY_STEP() if often is not None else _REMEDY_LONGER(updates=seen)
    title = _TOO_SOON(at=at, updates=seen)
    return RULE.finding(title=title, confidence=0.85, evidence=(evidence,), remedy=remedy, where=place)


def _unfinished(recording: Recording, stream: str, at: int) -> bool:
    """Whether the loss was falling until update ``at``, or had hardly begun; never near its floor."""
    series = loss_series(recording, stream)
    before, after = series.values[series.steps < at], series.values[series.steps >= at]
    known = natural_scale(recording, stream)
    scale = known if known is not None else covered_range(series.values)
    if after.size < 10 or not scale > 0:
        return False
    if known is not None:
        term = terms(recording, stream)[0]
        if float(np.median(after)) - (term.floor or 0.0) * abs(term.coefficient) < 0.05 * scale:
            return False
    if before.size < 30 or _in_first_pass(recording, stream, at):
        return known is not None
    moved = change(before[before.size // 2 :])
    if moved is None:
        return False
    if known is not None and _meant_for_passes(recording, stream) and 2 * at < updates(recording, stream):
        return not -0.01 * scale < moved.low <= moved.high < 0.01 * scale
    return moved.high < 0 and moved.value < -0.01 * scale


def _meant_for_passes(recording: Recording, stream: str) -> bool:
    """A decay by a constant factor, which is usually counted in passes, was stepped at every update."""
    seen, decays = updates(recording, stream), ("StepLR", "MultiStepLR", "ExponentialLR", "MultiplicativeLR")
    return any(s.name in decays and 2 * s.steps >= seen for s in schedulers(recording, stream))


def _in_first_pass(recording: Recording, stream: str, at: int) -> bool:
    """Whether update ``at`` lies in the first of two or more passes over the data."""
    passes = epochs(recording)
    return passes >= 2 and at * passes <= updates(recording, stream)


RULE = Rule(
    code="schedule-broken",
    severity="warning",
    title=Text(en="The learning-rate schedule is broken", zh="学习率调度有误"),
    judge=judge,
    needs=(signals.LOSS, signals.LEARNING_RATE),
    consequences=(
        "learning-rate-too-low",
        "loss-at-chance",
        "oscillating-loss",
        "plateau-above-floor",
    ),
)


def _scheduler(name: str = "StepLR", **fields: object) -> dict[str, object]:
    return {
        "kind": "scheduler",
        "stream": "0",
        "scheduler": "0",
        "name": name,
        "counted": True,
        "where": PLACE,
        **fields,
    }


def broken() -> Recording:
    """StepLR(30) stepped at every batch: nothing moves after the first 90 of 600 updates."""
    loss = np.concatenate([np.linspace(2.3, 1.4, 90), flat(510, 1.4)])
    steps = np.arange(600)
    series = {
        (signals.LEARNING_RATE, "0/0"): (steps, 0.1 * 0.1 ** (steps // 30)),
        (signals.SCHEDULER_STEPS, "0/0"): (steps, steps + 1.0),
        (signals.EPOCH, ""): every(60, 600, np.arange(10.0)),
    }
    return record(loss, series=series, events=[optimizer(), _scheduler(step_size=30)])


def healthy() -> Recording:
    """Cosine down to zero exactly at the end of the run, stepped at every update."""
    steps = np.arange(600)
    series = {
        (signals.LEARNING_RATE, "0/0"): (steps, 0.05 * (1 + np.cos(np.pi * steps / 600))),
        (signals.SCHEDULER_STEPS, "0/0"): (steps, steps + 1.0),
        (signals.EPOCH, ""): every(60, 600, np.arange(10.0)),
    }
    return record(
        falling(end=0.4), series=series, events=[optimizer(), _scheduler("CosineAnnealingLR", T_max=600)]
    )
