"""``learning-rate-too-low``: the parameters cannot get anywhere at this pace.

**What it says.** Over the whole run the parameters moved by less than a tenth of their own size even if every
update had pointed the same way, and the model has hardly learnt.

**Statistic.** Path length = mean of ‖Δθ‖/‖θ‖ over the sampled updates × number of updates < 0.1, and a deficit:
the 95 % interval of the skill lies below 0.2 or, where chance is unknown, the loss has not fallen although
successive gradients agree (median cosine above 0.5). At least 100 updates.

**Source.** A usual update ratio is about 10⁻³ (Karpathy, 2015): 100 updates make a path of 0.1.

**Example.** SGD with a learning rate of 10⁻⁶: after 900 updates the loss went from 2.303 to 2.302.

**Remedy.** Multiply the learning rate by 10 until the loss falls visibly.

**False alarms.** Silent on runs that have learnt (a small final rate after a decay, a converged or fine-tuned
model), while the rate is still being warmed up, and where the gradient itself is zero.
"""

import numpy as np

from losscope.core.finding import Evidence, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.planted import every, falling, flat, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.step_size import has_hardly_learnt, learning_rate, remedy_factor, warming_up
from losscope.rules.streams import line_of, progress, updates, values

_PATH = 0.1
_WARMING = Text(
    en="the learning rate was still being warmed up when the run ended",
    zh="运行结束时学习率仍在预热",
)
_TITLE = Text(
    en="The learning rate is too low{rate}: {updates} updates could move the weights by {percent:.2g} % at most",
    zh="学习率过低{rate}：{updates} 次更新最多使权重移动 {percent:.2g}%",
)
_TITLE_ZERO = Text(
    en="The weights never move: every update is zero{rate}",
    zh="权重从未改变：每次更新都为零{rate}",
)
_EVIDENCE = Text(
    en="mean ‖Δθ‖/‖θ‖ of one update: {ratio:.2g}; over {updates} updates at most {path:.2g}",
    zh="单次更新的平均 ‖Δθ‖/‖θ‖：{ratio:.2g}；{updates} 次更新累计最多 {path:.2g}",
)
_EXPECTED = Text(en="about 0.001 per update", zh="每次更新约 0.001")


def judge(recording: Recording) -> Outcome:
    stream = progress(recording, minimum=100)
    if isinstance(stream, NotJudged):
        return stream
    seen = updates(recording, stream)
    if warming_up(recording, stream, seen):
        return NotJudged(_WARMING())
    ratios = values(recording, signals.UPDATE_RATIO, stream)
    gradients = values(recording, signals.GRADIENT_NORM, stream)
    if ratios.size < 3 or (gradients.size and not np.median(gradients) > 0):
        return []
    ratio = float(ratios[1:].mean())
    if ratio * seen >= _PATH or not has_hardly_learnt(recording, stream):
        return []
    rate = learning_rate(recording, stream)
    evidence = Evidence(
        text=_EVIDENCE(ratio=ratio, updates=seen, path=ratio * seen),
        signal=signals.UPDATE_RATIO.name,
        label=stream,
        value=ratio,
        expected=_EXPECTED(),
    )
    shown = f" ({rate:g})" if rate is not None else ""
    title = _TITLE(rate=shown, updates=seen, percent=100 * ratio * seen) if ratio else _TITLE_ZERO(rate=shown)
    factor = 10.0 if ratio * seen > 0.01 else 100.0
    remedy = remedy_factor(rate, factor)
    place = line_of(recording, stream, "optimizer")
    return [RULE.finding(title=title, confidence=0.85, evidence=(evidence,), remedy=remedy, where=place)]


RULE = Rule(
    code="learning-rate-too-low",
    severity="error",
    title=Text(en="The learning rate is too low", zh="学习率过低"),
    judge=judge,
    needs=(signals.LOSS, signals.UPDATE_RATIO),
    consequences=("loss-at-chance", "plateau-above-floor"),
)


def broken() -> Recording:
    """Updates of one millionth of the weights: nothing moves in 600 of them."""
    series = {
        (signals.UPDATE_RATIO, "0"): every(20, 600, 1e-6),
        (signals.GRADIENT_NORM, "0"): every(20, 600, 0.8),
        (signals.LEARNING_RATE, "0/0"): every(600, 600, 1e-6),
    }
    return record(flat(), series=series)


def healthy() -> Recording:
    """A fine-tuned model: tiny updates on purpose, and a loss far below chance."""
    series = {
        (signals.UPDATE_RATIO, "0"): every(20, 600, 1e-5),
        (signals.LEARNING_RATE, "0/0"): every(600, 600, 1e-6),
    }
    return record(falling(start=0.4, end=0.3), series=series)
