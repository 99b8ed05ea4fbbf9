"""``weights-overwritten``: something other than the optimiser writes to the weights, and throws updates away.

**What it says.** Between updates the parameters change although no optimiser stepped: an old state is loaded again and
again, the model is initialised anew inside the loop, or an average is copied back over what was just learnt.

**Statistic.** *Returned*, exact: at least three times the parameters were set to a state that they had been in before,
by something other than an update, and four fifths of all updates were thrown away so. *Initialised anew*: at least
three times, over four fifths of the run, they were set to values off the way that the updates had gone, by half of its
length and more, and the loss stood again where training began (less than a fifth of the fall was kept). *Taken back*:
of each update the median share −⟨θ_a − θ_b, Δ⟩ / ‖Δ‖² that was gone at the next one is 0.9 or more over at least five
samples, and the model has hardly learnt.

**Source.** Arithmetic: version counters and values of the parameters. An average with decay 0.999 that is copied back
leaves a thousandth of each step (Polyak and Juditsky, 1992, average beside the iterates, not in their place).

**Example.** ``model.load_state_dict(initial)`` or ``model.apply(init_weights)`` inside ``for epoch in …``;
``policy.load_state_dict(target.state_dict())`` in the wrong direction.

**Remedy.** Move the call before the loop; copy the average to a model of its own.

**False alarms.** Silent on target networks and averages beside the model; averages that are swapped in for an
evaluation and out again; clipping, masks and projections after the step; Lookahead, Reptile, SAM; a checkpoint that is
loaded once; the best weights that are put back at the end; resets that begin a training of its own, with an optimiser
or a state of the optimiser of its own (folds, sweeps, test-time adaptation) or a higher rate each time (range tests).
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.signals import Signal
from losscope.rules.deficit import learning_deficit
from losscope.rules.planted import PLACE, every, falling, optimizer, record
from losscope.rules.reasons import no_loss
from losscope.rules.rule import Outcome, Rule
from losscope.rules.step_size import has_hardly_learnt
from losscope.rules.streams import is_aimless, line_of, loss_series, streams, updates, values

_TIMES, _COVERED = 3, 0.8
_ASIDE, _KEPT, _LOSSES = 0.5, 0.2, 5
_SAMPLES, _SHARE = 5, 0.9
_RATE_SEEN = 8  # updates after which a changed learning rate has been recorded
_TITLE_RETURNED = Text(
    en="The weights are set back to earlier values {count} times: {share} of the updates are thrown away",
    zh="权重被设回先前的值 {count} 次：{share} 的更新被丢弃",
)
_TITLE_ANEW = Text(
    en="The weights are initialised anew {count} times during training",
    zh="训练过程中权重被重新初始化 {count} 次",
)
_TITLE_BACK = Text(
    en="{share} of each update is taken back before the next one",
    zh="每次更新有 {share} 在下一次更新之前被撤销",
)
_RETURNED = Text(
    en="{count} times exactly the same values as before stood there again, after {between:.0f} updates (median)",
    zh="{count} 次恰好恢复为先前的值，其间有 {between:.0f} 次更新（中位数）",
)
_ANEW = Text(
    en="something wrote values {aside:.2g} times the way of the updates away from it; the loss stood at {start:.4g} "
    "when training began, at {before:.4g} before these writes and at {after:.4g} after them (medians)",
    zh="写入的值偏离更新路径，距离为路径长度的 {aside:.2g} 倍；损失在训练开始时为 {start:.4g}，"
    "写入前为 {before:.4g}，写入后为 {after:.4g}（中位数）",
)
_BACK = Text(
    en="at the next update {share} of the update before was gone (median of {count} samples)",
    zh="到下一次更新时，前一次更新的 {share} 已消失（{count} 次采样的中位数）",
)
_EXPECTED = Text(en="only the optimiser changes the weights", zh="只有优化器改变权重")
_REMEDY = Text(
    en="Move what writes to the weights (load_state_dict, an initialisation, copy_) out of the training loop.",
    zh="把写入权重的操作（load_state_dict、初始化、copy_）移到训练循环之外。",
)
_REMEDY_BACK = Text(
    en="Do not copy an average or another model back into the model that is trained: keep it in a copy of its own, "
    "ema = copy.deepcopy(model).",
    zh="不要把滑动平均或其他模型复制回正在训练的模型：应保存在独立的副本中，ema = copy.deepcopy(model)。",
)


def judge(recording: Recording) -> Outcome:
    found = streams(recording)
    if not found:
        return no_loss()
    for stream in found:
        finding = (
            _returned(recording, stream) or _initialised(recording, stream) or _taken_back(recording, stream)
        )
        if finding is not None:
            return [finding]
    return []


def _returned(recording: Recording, stream: str) -> Finding | None:
    series = recording.series(signals.RETURNED, stream)
    total = updates(recording, stream)
    if len(series) < _TIMES or _range_test(recording, stream, series.steps):
        return None
    thrown = float(series.values.sum())
    if thrown < _COVERED * (
        total - 2 * float(series.values.max())
    ):  # the first and the last stretch may be unseen
        return None
    count = len(series)
    text = _RETURNED(count=count, between=float(np.median(series.values)))
    title = _TITLE_RETURNED(count=count, share=_percent(min(thrown / total, 1.0)))
    return _finding(recording, stream, title, text, signals.RETURNED, thrown, _REMEDY())


def _range_test(recording: Recording, stream: str, steps: np.ndarray) -> bool:
    """The learning rate was raised at most of these updates: one short training for each rate."""
    labels = [label for label in recording.labels(signals.LEARNING_RATE) if label.split("/")[0] == stream]
    raised = 0
    for series in (recording.series(signals.LEARNING_RATE, label) for label in labels):
        if len(series):
            before, after = (
                series.values[np.maximum(np.searchsorted(series.steps, at, side="right") - 1, 0)]
                for at in (steps - 1, steps + _RATE_SEEN)
            )
            raised = max(raised, int(np.count_nonzero(after > before)))
    return raised >= len(steps) / 2


def _initialised(recording: Recording, stream: str) -> Finding | None:
    series = recording.series(signals.OVERWRITTEN, stream)
    far = series.values >= _ASIDE
    steps, total = series.steps[far], updates(recording, stream)
    if len(steps) < _TIMES or is_aimless(recording, stream):
        return None
    loss = loss_series(recording, stream)
    if steps[-1] - steps[0] + float(np.diff(steps).max()) < _COVERED * total - steps[0]:
        return None
    start = float(np.median(loss.values[:_LOSSES]))
    ends = [np.searchsorted(loss.steps, step) for step in steps]
    windows = [(loss.values[max(0, e - _LOSSES) : e], loss.values[e : e + _LOSSES]) for e in ends]
    pairs = [(float(np.median(a)), float(np.median(b))) for a, b in windows if a.size and b.size]
    if len(pairs) < _TIMES:
        return None
    before, after = (float(np.median(side)) for side in zip(*pairs, strict=True))
    if start <= before or start - after > _KEPT * (start - before):
        return None
    aside = float(np.median(series.values[far]))
    text = _ANEW(aside=aside, start=start, before=before, after=after)
    title = _TITLE_ANEW(count=len(steps))
    return _finding(recording, stream, title, text, signals.OVERWRITTEN, aside, _REMEDY())


def _taken_back(recording: Recording, stream: str) -> Finding | None:
    shares = values(recording, signals.UNDONE_SHARE, stream)
    if shares.size < _SAMPLES or float(np.median(shares)) < _SHARE:
        return None
    deficit = learning_deficit(recording)
    stuck = deficit is not None and not isinstance(deficit, NotJudged)
    if not stuck and not has_hardly_learnt(recording, stream):
        return None
    share = float(np.median(shares))
    text = _BACK(share=_percent(share), count=shares.size)
    title = _TITLE_BACK(share=_percent(share))
    return _finding(recording, stream, title, text, signals.UNDONE_SHARE, share, _REMEDY_BACK())


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _finding(
    recording: Recording,
    stream: str,
    title: Message,
    text: Message,
    signal: Signal,
    value: float,
    remedy: Message,
) -> Finding:
    evidence = Evidence(text=text, signal=signal.name, label=stream, value=value, expected=_EXPECTED())
    where = line_of(recording, stream, "overwritten")
    return RULE.finding(title=title, confidence=0.95, evidence=(evidence,), remedy=remedy, where=where)


RULE = Rule(
    code="weights-overwritten",
    severity="error",
    title=Text(en="The weights are overwritten", zh="权重被覆盖"),
    judge=judge,
    needs=(signals.LOSS,),
    consequences=(
        "diverging-loss",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "loss-spikes",
        "oscillating-loss",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """The initial weights are loaded at the start of each of ten epochs."""
    loss = np.tile(falling(60, end=0.9), 10)
    event = {"kind": "overwritten", "stream": "0", "step": 60, "where": PLACE}
    steps, thrown = every(60, 600, 60.0)
    return record(
        loss, series={(signals.RETURNED, "0"): (steps[1:], thrown[1:])}, events=[optimizer(), event]
    )


def healthy() -> Recording:
    """A critic whose weights are clipped: half of each update is taken back, and values off its way are written."""
    series = {
        (signals.UNDONE_SHARE, "0"): every(20, 600, 0.95),
        (signals.OVERWRITTEN, "0"): every(1, 600, 0.6),
    }
    return record(falling(), series=series, events=[optimizer()])
