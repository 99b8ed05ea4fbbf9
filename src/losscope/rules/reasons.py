"""Reasons for not judging that several rules share."""

from losscope.core.finding import NotJudged
from losscope.core.text import Text

MIN_UPDATES = 30
"""Shorter runs are not judged on their curve: ten batches need about three values each to have a spread."""

_NO_LOSS = Text(
    en="no backward pass through a loss was seen",
    zh="没有观察到对损失的反向传播",
)
_TOO_FEW = Text(
    en="only {updates} updates were seen; at least {needed} are needed",
    zh="只观察到 {updates} 次更新；至少需要 {needed} 次",
)
MIN_VALUES = 20
"""Fewer recorded losses than two per batch of the trend test, where the watch thinned its sampling."""
_TOO_SPARSE = Text(
    en="only {values} losses were recorded in {updates} updates",
    zh="{updates} 次更新中只记录了 {values} 个损失值",
)
_NO_SERIES = Text(
    en="needs the signal {signals}, which this run did not record",
    zh="需要信号 {signals}，本次运行没有记录",
)
_NO_EVENT = Text(
    en="the run holds no “{kind}” event",
    zh="运行记录中没有“{kind}”事件",
)
_NOT_PROGRESS = Text(
    en="the value of {kind} does not measure progress",
    zh="{kind} 的数值不反映训练进展",
)
_MAXIMISED = Text(
    en="the optimiser has maximize=True: a larger value is better here",
    zh="优化器设置了 maximize=True：此处数值越大越好",
)
_COUPLED = Text(
    en="{streams} objectives are trained in alternation, and the value of one moves with the others",
    zh="{streams} 个目标交替训练，其中一个的数值会随其他目标变化",
)
_NO_LATE_SAMPLES = Text(
    en="the watch took no sample of a term in the last fifth of the run",
    zh="在运行的最后五分之一没有对损失项采样",
)
_NO_CHANCE = Text(
    en="the chance level of no term is known",
    zh="没有任何损失项的随机水平是已知的",
)


def no_loss() -> NotJudged:
    return NotJudged(_NO_LOSS())


def too_few(updates: int, needed: int = MIN_UPDATES) -> NotJudged:
    return NotJudged(_TOO_FEW(updates=updates, needed=needed))


def too_sparse(values: int, updates: int) -> NotJudged:
    return NotJudged(_TOO_SPARSE(values=values, updates=updates))


def no_series(*names: str) -> NotJudged:
    return NotJudged(_NO_SERIES(signals=", ".join(names)))


def no_event(kind: str) -> NotJudged:
    return NotJudged(_NO_EVENT(kind=kind))


def not_progress(kind: str) -> NotJudged:
    return NotJudged(_NOT_PROGRESS(kind=kind))


def maximised() -> NotJudged:
    return NotJudged(_MAXIMISED())


def coupled(streams: int) -> NotJudged:
    return NotJudged(_COUPLED(streams=streams))


def no_late_samples() -> NotJudged:
    return NotJudged(_NO_LATE_SAMPLES())


def no_chance() -> NotJudged:
    return NotJudged(_NO_CHANCE())
