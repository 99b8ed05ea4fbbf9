"""``accumulation-not-averaged``: the means of k batches are summed, so that each step is that of k times the loss.

**What it says.** Every update adds the gradients of k backward passes, each of a mean over its own batch and none
divided by k. The update is that of one batch k times as large with its loss multiplied by k: under gradient descent
the learning rate is in effect k times as high.

**Statistic.** None: the coefficient of every mean in the objective, read off the autograd graph and summed over the
backward passes of an update, equals the number of these passes (to 0.1 %) wherever it was read, and nine tenths of
all updates, at least twenty, have several. k is their median: the batches that an epoch leaves over join the next.
*Warning* where the run has a learning deficit (diverged, not finite, at chance, not fallen) and the optimiser's step
grows with its gradient; *info* otherwise.

**Source.** Goyal et al. (2017), section 2: a batch of k n samples is the mean over all of them; PyTorch's notes on
gradient accumulation divide the loss by k.

**Example.** ``for x, y in micro_batches: F.cross_entropy(model(x), y).backward()``, then ``optimizer.step()``.

**Remedy.** ``(loss / k).backward()``; or keep the sum and choose the learning rate for it.

**False alarms.** Many sum on purpose: without a deficit this is context only. Adam and other optimisers whose step
does not depend on the scale of the gradient are never blamed. Silent on losses that are divided, on summed losses, on
several different losses with a backward each.
"""

import math
from typing import Any

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.deficit import learning_deficit
from losscope.rules.planted import PlantedTerm, every, falling, flat, optimizer, record
from losscope.rules.reasons import no_event
from losscope.rules.rule import Outcome, Rule
from losscope.rules.step_size import grows_with_gradient
from losscope.rules.streams import events_of, line_of, main_stream, updates

_LEAST, _SHARE, _EXACT = 20, 0.9, 1e-3
_TITLE = Text(
    en="{k} backward passes are summed, not averaged: each step is that of {k} times the loss",
    zh="{k} 次反向传播的梯度被相加而未取平均：每一步相当于损失的 {k} 倍",
)
_EVIDENCE = Text(
    en="{k} backward passes in one update; the mean of each batch counts {coefficient:.4g} times in all",
    zh="每次更新有 {k} 次反向传播；各批次的平均损失合计计入 {coefficient:.4g} 次",
)
_EXPECTED = Text(en="1: each pass divided by their number", zh="1：每次都除以总次数")
_REMEDY = Text(
    en="Divide before the backward pass: (loss / {k}).backward(); or divide the learning rate by {k}.",
    zh="在反向传播之前相除：(loss / {k}).backward()；或把学习率除以 {k}。",
)


def judge(recording: Recording) -> Outcome:
    stream = main_stream(recording)
    looks = events_of(recording, "anatomy", stream) if stream is not None else []
    if stream is None or not looks:
        return no_event("anatomy")
    counts, seen = recording.series(signals.BACKWARDS, stream), updates(recording, stream)
    if len(counts) < _LEAST:
        return []
    k = int(np.median(counts.values))
    if k < 2 or np.count_nonzero(counts.values > 1) < _SHARE * seen:
        return []
    if not _all_summed(looks, dict(zip(counts.steps.tolist(), counts.values.tolist(), strict=True))):
        return []
    evidence = Evidence(
        text=_EVIDENCE(k=k, coefficient=float(k)),
        signal=signals.BACKWARDS.name,
        label=stream,
        value=float(k),
        expected=_EXPECTED(),
    )
    deficit = learning_deficit(recording)
    harmful = (
        deficit is not None and not isinstance(deficit, NotJudged) and grows_with_gradient(recording, stream)
    )
    return [
        RULE.finding(
            title=_TITLE(k=k),
            severity="warning" if harmful else "info",
            confidence=0.6 if harmful else 0.95,
            evidence=(evidence,),
            remedy=_REMEDY(k=k),
            where=line_of(recording, stream, "anatomy"),
        )
    ]


def _all_summed(looks: list[dict[str, Any]], backwards: dict[int, float]) -> bool:
    """Whether at every look each term is a mean that counts as often as there were backward passes in that update."""
    pairs = [
        (term, backwards.get(int(look.get("step") or 0), 1.0))
        for look in looks
        for term in look.get("terms") or ()
    ]
    return bool(pairs) and all(
        term.get("reduction") == "mean"
        and math.isclose(float(term.get("coefficient") or 0.0), k, rel_tol=_EXACT)
        for term, k in pairs
    )


RULE = Rule(
    code="accumulation-not-averaged",
    severity="warning",
    title=Text(en="Accumulated gradients are summed, not averaged", zh="累积的梯度被相加而未取平均"),
    judge=judge,
    needs=(signals.LOSS, signals.BACKWARDS),
    consequences=(
        "diverging-loss",
        "exploding-gradient",
        "learning-rate-too-high",
        "non-finite",
        "oscillating-loss",
    ),
)

_EIGHT = PlantedTerm(coefficient=8.0, chance=2.303, chance_error=0.001)


def broken() -> Recording:
    """Eight batches summed under gradient descent; the loss never leaves chance."""
    series = {(signals.BACKWARDS, "0"): every(1, 600, 8.0)}
    return record(8 * flat(), terms=[_EIGHT], series=series, events=[optimizer()])


def healthy() -> Recording:
    """Eight batches, each divided by eight."""
    series = {(signals.BACKWARDS, "0"): every(1, 600, 8.0)}
    return record(falling(), series=series, events=[optimizer()])
