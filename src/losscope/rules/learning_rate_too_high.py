"""``learning-rate-too-high``: the updates are so large that they destroy what was learnt.

**What it says.** Training has broken down or never starts, and the updates are too large: against the weights
themselves, or against what is left to gain.

**Statistic.** *Setback*: the median of five successive losses rose to three times the larger of the first loss and the
chance level, the run ends above half of that level, and some update changed the weights by 10 % or more; only where
the chance level is known. The others only with a deficit of learning. *Breakdown* (loss not finite or risen for
good) with an update that changed the weights by 10 % or more. *Standstill* (at chance, or not falling): at two sampled
updates or more, the first eight left out, the update promised a greater fall of the loss than the loss stood above its
floor, −⟨g, Δθ⟩ > L − floor; or the median ratio ‖Δθ‖/‖θ‖ early on is 30 % or more, or, where the floor is unknown,
20 % over the whole run.

**Source.** The step that promises just L − L* is that of Polyak (1987), *Introduction to Optimization*, and beyond
twice of it a convex loss need not improve; for batches: Loizou et al. (2021), arXiv:2002.10542. A usual update ratio
is about 10⁻³ (Karpathy, 2015). Calibration on labels without any signal: ``benchmarks/calibration/step_size.py``.

**Example.** Adam with a learning rate of 1: the first update changes each weight by 1, fifty times its size.

**Remedy.** Divide the learning rate by 10 until the loss falls from the first updates on.

**False alarms.** Silent on every run that learns (one that closes half of the way from chance to zero after a setback
counts as learning): large steps at the edge of stability, restarts, warm-up bumps. Successive gradients that point
against each other say nothing: noise about a minimum does that at any rate, since an update removes what it has just
followed. The first sample is left out where others exist, since weights that start at zero have no ratio.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from losscope.core.finding import Evidence, Finding, NotJudged
from losscope.core.text import Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.rules.curve import last_level
from losscope.rules.deficit import Deficit, learning_deficit
from losscope.rules.layer_profile import silent_inputs
from losscope.rules.numbers import readable
from losscope.rules.planted import every, falling, normal, record
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.step_size import learning_rate, promises, remedy_factor
from losscope.rules.streams import line_of, losses, main_stream, values
from losscope.rules.terms import terms

_BREAKING, _LARGE, _LARGE_EARLY = 0.1, 0.2, 0.3
_TOO_MUCH, _TWICE = 1.0, 2  # promised by the loss above its floor; at so many updates
_MEDIAN = 5  # losses of which the median is taken: a single bad batch is no setback
_BLOWN_UP, _RECOVERED = 3.0, 0.5  # times the level that training began at
_TITLE = Text(
    en="The learning rate is too high{rate}: updates change the weights by {percent}",
    zh="学习率过高{rate}：每次更新使权重改变 {percent}",
)
_TITLE_PROMISE = Text(
    en="The learning rate is too high{rate}: updates promise {times:.2g} times the fall that there is to have",
    zh="学习率过高{rate}：更新所预期的下降是可能下降量的 {times:.2g} 倍",
)
_RATIO = Text(
    en="‖Δθ‖/‖θ‖ of one update reaches {ratio:.2g}, its median is {median:.2g}",
    zh="单次更新的 ‖Δθ‖/‖θ‖ 最大为 {ratio:.2g}，中位数为 {median:.2g}",
)
_PROMISE = Text(
    en="−⟨g, Δθ⟩ exceeds the loss above its floor at {count} of {all} sampled updates, by up to {times:.2g} times",
    zh="在 {all} 次采样的更新中有 {count} 次 −⟨g, Δθ⟩ 超过损失高出下限的部分，最多为其 {times:.2g} 倍",
)
_SETBACK = Text(
    en="the loss began at {first}, rose to {peak}, and ended at {last}",
    zh="损失从 {first} 开始，升到 {peak}，最后为 {last}",
)
_EXPECTED_SETBACK = Text(
    en="below {level}, the level of a constant answer", zh="应低于常数预测的水平 {level}"
)
_EXPECTED_RATIO = Text(en="about 0.001", zh="约 0.001")
_EXPECTED_PROMISE = Text(en="a small part of it", zh="只占其一小部分")


@dataclass(frozen=True, slots=True)
class _Steps:
    """Update ratios of a stream, first sample left out where others exist; promised falls (:func:`promises`)."""

    largest: float
    median: float
    early: float
    promised: Floats

    @property
    def too_much(self) -> bool:
        return int(np.count_nonzero(self.promised > _TOO_MUCH)) >= _TWICE


def judge(recording: Recording) -> Outcome:
    deficit = learning_deficit(recording)
    if isinstance(deficit, NotJudged):
        return deficit
    stream = main_stream(recording) or "0"
    steps = _steps(recording, stream)
    if deficit is None:
        finding = _after_setback(recording, stream, steps)
    else:
        finding = _finding(recording, stream, deficit, steps)
    return [finding] if finding else []


def _after_setback(recording: Recording, stream: str, steps: _Steps) -> Finding | None:
    """The first updates threw the weights so far off that the run never made up for it."""
    curve = losses(recording, stream)
    chances = [
        t.chance * abs(t.coefficient) for t in terms(recording, stream) if t.is_whole_loss and t.chance
    ]
    if curve.size < _MEDIAN or max(chances, default=0.0) <= 0 or steps.largest < _BREAKING:
        return None
    level = max(float(curve[0]), *chances)
    peak = float(np.median(sliding_window_view(curve, _MEDIAN), axis=1).max())
    last = last_level(curve)
    if peak < _BLOWN_UP * level or last < _RECOVERED * level:
        return None
    rate = learning_rate(recording, stream)
    setback = Evidence(
        text=_SETBACK(first=readable(float(curve[0])), peak=readable(peak), last=readable(last)),
        signal=signals.LOSS.name,
        label=stream,
        value=peak,
        expected=_EXPECTED_SETBACK(level=readable(level)),
    )
    title = _TITLE(rate=_shown(rate), percent=_times(100 * steps.largest))
    return RULE.finding(
        title=title,
        confidence=0.75,
        evidence=(setback, _ratio_evidence(stream, steps)),
        remedy=remedy_factor(rate, 0.1),
        where=line_of(recording, stream, "optimizer"),
    )


def _shown(rate: float | None) -> str:
    return f" ({rate:g})" if rate is not None else ""


def _steps(recording: Recording, stream: str) -> _Steps:
    ratios = values(recording, signals.UPDATE_RATIO, stream)
    settled = ratios[1:] if ratios.size > 1 else ratios
    if settled.size == 0:
        settled = np.zeros(1)
    return _Steps(
        largest=float(settled.max()),
        median=float(np.median(settled)),
        early=float(np.median(settled[: max(2, settled.size // 10)])) if settled.size > 1 else 0.0,
        promised=promises(recording, stream).values,
    )


def _finding(recording: Recording, stream: str, deficit: Deficit, steps: _Steps) -> Finding | None:
    rate = learning_rate(recording, stream)
    shown = _shown(rate)
    remedy = remedy_factor(rate, 0.1)
    place = line_of(recording, stream, "optimizer")
    broke = deficit in {"non-finite", "diverged"}
    if not broke and silent_inputs(recording, stream, always=True):  # only biases move, and they are small
        return None
    unknown = steps.promised.size < _TWICE  # small weights may be best: then the ratio is large at any rate
    standstill = steps.early >= _LARGE_EARLY or (unknown and steps.median >= _LARGE)
    if steps.largest >= _BREAKING if broke else standstill:
        confidence = 0.9 if broke else 0.75
        percent = 100 * (steps.largest if broke else max(steps.median, steps.early))
        title, evidence = _TITLE(rate=shown, percent=_times(percent)), (_ratio_evidence(stream, steps),)
        return RULE.finding(title=title, confidence=confidence, evidence=evidence, remedy=remedy, where=place)
    if steps.too_much:
        times = float(steps.promised.max())
        count = int(np.count_nonzero(steps.promised > _TOO_MUCH))
        promise = Evidence(
            text=_PROMISE(count=count, all=steps.promised.size, times=times),
            signal=signals.PROMISED_FALL.name,
            label=stream,
            value=times,
            expected=_EXPECTED_PROMISE(),
        )
        title = _TITLE_PROMISE(rate=shown, times=times)
        evidence = (promise, _ratio_evidence(stream, steps))
        return RULE.finding(title=title, confidence=0.8, evidence=evidence, remedy=remedy, where=place)
    return None


def _times(percent: float) -> str:
    """``12 %``; from a thousandfold on in powers of ten, which say more than a row of digits."""
    return f"{percent:,.0f} %" if percent < 1e5 else f"{percent:.1g} %"


def _ratio_evidence(stream: str, steps: _Steps) -> Evidence:
    return Evidence(
        text=_RATIO(ratio=steps.largest, median=steps.median),
        signal=signals.UPDATE_RATIO.name,
        label=stream,
        value=steps.largest,
        expected=_EXPECTED_RATIO(),
    )


RULE = Rule(
    code="learning-rate-too-high",
    severity="error",
    title=Text(en="The learning rate is too high", zh="学习率过高"),
    judge=judge,
    needs=(signals.LOSS, signals.UPDATE_RATIO),
    consequences=(
        "dead-units",
        "diverging-loss",
        "exploding-gradient",
        "input-has-no-effect",
        "loss-at-chance",
        "non-finite",
        "oscillating-loss",
        "plateau-above-floor",
        "saturated-units",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """Gradient descent beyond its stability limit: loss and updates grow together."""
    loss = 2.3 * np.exp(np.arange(600) / 60) * np.exp(0.1 * normal(600, 3))
    series = {
        (signals.UPDATE_RATIO, "0"): every(20, 600, np.geomspace(0.05, 50, 30)),
        (signals.LEARNING_RATE, "0/0"): every(600, 600, 10.0),
    }
    return record(loss, series=series)


def healthy() -> Recording:
    """The edge of stability: gradients zig-zag, and some steps promise more than there is; but the loss falls."""
    series = {
        (signals.UPDATE_RATIO, "0"): every(20, 600, 0.06),
        (signals.ALIGNMENT, "0"): every(20, 600, -0.7),
        (signals.PROMISED_FALL, "0"): every(20, 600, 1.1 * falling()[::20]),
    }
    return record(falling(), series=series)
