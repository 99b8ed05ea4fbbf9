"""``step-without-backward``: the optimiser steps although no gradient has come since its last step.

**What it says.** At many updates there was no new gradient to use. Either the old one was applied once more, or it
had been cleared between ``backward`` and ``step``, or there never was one: then the step changes nothing.

**Statistic.** None: the number of backward passes between two steps of one optimiser is 0, *and* the gradient is the
same tensor, at the same version and with the same values, as after the step before (repeated), or every gradient is
``None``; or a gradient that was not zero right after ``backward`` is gone or zero at ``step``, for every parameter
(cleared). Reported where it happened at least five times, at a tenth of the updates looked at, or nine tenths for
cleared gradients, and still in the second half of the run.

**Source.** ``torch.optim.Optimizer.step`` uses whatever stands in ``.grad``; ``zero_grad`` empties it.

**Example.** ``loss.backward(); optimizer.zero_grad(); optimizer.step()``, or a step for every batch with a backward
for every fourth.

**Remedy.** One ``optimizer.zero_grad()``, one ``loss.backward()``, one ``optimizer.step()``, in this order.

**False alarms.** Silent on accumulation, on steps that a loss scale skips, on ``step(closure)``, on gradients written
by hand (evolution strategies, federated averages), on two optimisers that step on one backward, on parameters whose
gradient is cancelled on purpose while others keep theirs, and on idle steps of an optimiser without gradients where
others train.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.series import Series
from losscope.rules.planted import PLACE, falling, flat, optimizer, record
from losscope.rules.reasons import no_loss, too_few
from losscope.rules.rule import Outcome, Rule
from losscope.rules.streams import line_of, updates

_LEAST = 5
_SHARES = {"cleared": 0.9, "none": 0.9, "repeated": 0.1}
_TITLES = {
    "cleared": Text(
        en="Gradients are cleared between backward() and step(): no update has one to use",
        zh="梯度在 backward() 与 step() 之间被清零：每次更新都没有梯度可用",
    ),
    "none": Text(
        en="The optimiser steps, but no backward pass ever gives its parameters a gradient",
        zh="优化器在更新，但从未有反向传播给它的参数带来梯度",
    ),
    "repeated": Text(
        en="At {share} of the updates no new gradient had come: the old one was applied again",
        zh="{share} 的更新没有新的梯度：旧梯度被重复使用",
    ),
}
_EVIDENCE = Text(
    en="{count} of {looked} steps that were looked at had no new gradient",
    zh="在检查的 {looked} 次 step 中，有 {count} 次没有新的梯度",
)
_EXPECTED = Text(en="0: a backward pass comes before every step", zh="0：每次 step 之前都应有一次反向传播")
_REMEDIES = {
    "cleared": Text(
        en="Call optimizer.zero_grad() before loss.backward() or after optimizer.step(), not between them.",
        zh="在 loss.backward() 之前或 optimizer.step() 之后调用 optimizer.zero_grad()，不要放在两者之间。",
    ),
    "none": Text(
        en="Call loss.backward() before optimizer.step().",
        zh="在 optimizer.step() 之前调用 loss.backward()。",
    ),
    "repeated": Text(
        en="Call optimizer.step() once after each loss.backward() (or each group of them), and optimizer.zero_grad() "
        "after it.",
        zh="每次（或每组）loss.backward() 之后只调用一次 optimizer.step()，随后调用 optimizer.zero_grad()。",
    ),
}


def judge(recording: Recording) -> Outcome:
    labels = sorted({label.split("/")[0] for label in recording.labels(signals.STEP_TIME)})
    if not labels:
        return no_loss()
    for stream in labels:
        for kind in _SHARES:
            found = _judge(recording, stream, kind)
            if found is not None:
                return [found]
    most = max(updates(recording, stream) for stream in labels)
    return [] if most >= 2 * _LEAST else too_few(most, 2 * _LEAST)


def _judge(recording: Recording, stream: str, kind: str) -> Finding | None:
    series = recording.series(signals.EMPTY_STEP, f"{stream}/{kind}")
    count, looked = len(series), _looked(series)
    seen = updates(recording, stream)
    if count < _LEAST or count < _SHARES[kind] * looked:
        return None
    if kind == "none" and len(recording.series(signals.LOSS, stream)):
        return None
    if kind != "cleared" and series.steps[-1] < 0.5 * seen:  # cleared is looked at in the beginning alone
        return None
    share = count / looked
    evidence = Evidence(
        text=_EVIDENCE(count=count, looked=looked),
        signal=signals.EMPTY_STEP.name,
        label=f"{stream}/{kind}",
        value=share,
        expected=_EXPECTED(),
    )
    title = _TITLES[kind](share=f"{100 * share:.0f} %") if kind == "repeated" else _TITLES[kind]()
    place = line_of(recording, stream, "optimizer", "anatomy")
    return RULE.finding(
        title=title, confidence=0.97, evidence=(evidence,), remedy=_REMEDIES[kind](), where=place
    )


def _looked(series: Series) -> int:
    return int(series.values[-1]) if len(series) else 0


RULE = Rule(
    code="step-without-backward",
    severity="error",
    title=Text(en="Steps without a new gradient", zh="没有新梯度的更新"),
    judge=judge,
    consequences=(
        "diverging-loss",
        "exploding-gradient",
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-at-chance",
        "missing-zero-grad",
        "plateau-above-floor",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """``zero_grad`` between ``backward`` and ``step``: nothing ever moves."""
    steps = np.arange(1, 33)
    series = {(signals.EMPTY_STEP, "0/cleared"): (steps, steps.astype(np.float64))}
    return record(flat(), series={**series, **_clock()}, events=[{**optimizer(), "where": PLACE}])


def healthy() -> Recording:
    """Now and then a batch without targets is skipped, and its step repeats the gradient before."""
    steps = np.arange(25, 600, 25)
    series = {(signals.EMPTY_STEP, "0/repeated"): (steps, steps.astype(np.float64))}
    return record(falling(), series={**series, **_clock()}, events=[optimizer()])


def _clock() -> dict[object, tuple[np.ndarray, np.ndarray]]:
    steps = np.arange(600)
    return {(signals.STEP_TIME, "0"): (steps, 0.01 * steps)}
