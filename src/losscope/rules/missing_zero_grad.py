"""``missing-zero-grad``: gradients are never cleared, so every update uses the sum of all batches so far.

**What it says.** At the start of nearly every backward pass the gradient of the update before was still in
place. The sum grows, the direction lags behind, and the step size is wrong by a growing factor.

**Statistic.** Share of updates whose predecessor's gradient was neither dropped nor overwritten nor zeroed,
judged by the state of ``.grad`` itself. Reported from 90 % of at least ten updates on.

**Source.** ``torch.Tensor.backward`` accumulates into the leaves; ``torch.optim.Optimizer.zero_grad``.

**Example.** ``loss.backward(); optimizer.step()`` in a loop without ``optimizer.zero_grad()``. Under Adam with
clipping the training loss can look healthy all the same.

**Remedy.** Call ``optimizer.zero_grad()`` once per update, before ``backward``.

**False alarms.** Silent on gradient accumulation (several backward passes per update, cleared after it), on
clearing through ``model.zero_grad()`` or ``p.grad = None``, and on gradients that are only sometimes kept.
"""

import numpy as np

from losscope.core.finding import Evidence
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import every, falling, optimizer, record
from losscope.rules.reasons import too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import line_of, streams, values

_SHARE = 0.9
_MIN_UPDATES = 10
_TITLE = Text(
    en="Gradients are never cleared: each update adds to the sum of all before it",
    zh="梯度从未清零：每次更新都叠加在之前所有梯度之上",
)
_EVIDENCE = Text(
    en="at {stale} of {total} updates the gradient of the update before was still in place",
    zh="{total} 次更新中有 {stale} 次，上一次更新的梯度仍未清除",
)
_EXPECTED = Text(en="0: the gradient is cleared after every update", zh="0：每次更新后梯度都应被清除")
_REMEDY = Text(
    en="Call optimizer.zero_grad() once per update, before loss.backward().",
    zh="每次更新时，在 loss.backward() 之前调用一次 optimizer.zero_grad()。",
)


def judge(recording: Recording) -> Outcome:
    most = 0
    for stream in streams(recording):
        stale, total = _count(recording, stream)
        most = max(most, total)
        if total < _MIN_UPDATES or stale < _SHARE * total:
            continue
        evidence = Evidence(
            text=_EVIDENCE(stale=stale, total=total),
            signal=signals.STALE_GRADIENT.name,
            label=stream,
            value=stale / total,
            expected=_EXPECTED(),
        )
        place = line_of(recording, stream, "anatomy", "optimizer")
        return [
            RULE.finding(
                title=_TITLE(),
                confidence=0.98,
                evidence=(evidence,),
                remedy=_REMEDY(),
                where=place,
            )
        ]
    return [] if most >= _MIN_UPDATES else too_few(most, _MIN_UPDATES)


def _count(recording: Recording, stream: str) -> tuple[int, int]:
    """Stale updates, and updates for which it could be told."""
    series = values(recording, signals.STALE_GRADIENT, stream)
    return int(np.count_nonzero(series)), int(series.size)


RULE = Rule(
    code="missing-zero-grad",
    severity="error",
    title=Text(en="Gradients are never cleared", zh="梯度从未清零"),
    judge=judge,
    needs=(signals.LOSS, signals.STALE_GRADIENT),
    consequences=(
        "diverging-loss",
        "exploding-gradient",
        "learning-rate-too-high",
        "loss-at-chance",
        "non-finite",
        "oscillating-loss",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """No clearing at all: only the first update finds no gradient."""
    return record(falling(), series={(signals.STALE_GRADIENT, "0"): every(1, 600, 1.0)}, events=[optimizer()])


def healthy() -> Recording:
    """Gradient accumulation over four batches, cleared after each update."""
    series = {
        (signals.STALE_GRADIENT, "0"): every(1, 600, 0.0),
        (signals.BACKWARDS, "0"): every(1, 600, 4.0),
    }
    return record(falling(), series=series, events=[optimizer()])
