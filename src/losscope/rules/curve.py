"""The loss curve of the main stream, judged once and read by several rules."""

from dataclasses import dataclass

import numpy as np

from losscope.core.finding import NotJudged
from losscope.core.text import Text
from losscope.core.verdict import Level
from losscope.recording.reader import Recording
from losscope.recording.series import Series
from losscope.rules.statistics.batch_means import Change, Trend, covered_range, trend
from losscope.rules.statistics.robust import Floats, block_medians, difference_scale, mad_scale
from losscope.rules.streams import loss_series, non_finite_end, progress
from losscope.rules.terms import natural_scale

_ENDS_NON_FINITE = Text(
    en="the loss ends in NaN or infinity",
    zh="损失以 NaN 或无穷大结束",
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A loss curve with its trend over the last half.

    ``scale`` is what 1 % is taken of: chance − floor where ``known``, else the range that the run has covered.
    """

    stream: str
    losses: Floats
    scale: float
    known: bool
    trend: Trend
    window: int
    """Updates that the trend speaks of: the last half of the run, however few of them were recorded."""

    @property
    def first(self) -> float:
        """Level at the start: mean of the first 1 % of the updates, at most ten."""
        return first_level(self.losses)

    @property
    def last(self) -> float:
        """Level at the end: mean of the last 5 % of the updates."""
        return last_level(self.losses)


def level(series: Series) -> Level | None:
    """Of a series of finite losses at even spacing; ``None`` where it is empty."""
    values = series.values
    if not len(values):
        return None
    first, last = first_level(values), last_level(values)
    if last < values[0] < first:  # a rise right after the start is not where training began
        first = float(values[0])
    return Level(first=first, last=last, window=int(series.steps[-1] - series.steps[-_twentieth(values)]) + 1)


def first_level(values: Floats) -> float:
    return float(values[: max(1, min(10, len(values) // 100))].mean())


def last_level(values: Floats) -> float:
    return float(values[-_twentieth(values) :].mean())


def _twentieth(values: Floats) -> int:
    return max(1, len(values) // 20)


def loss_curve(recording: Recording, minimum: int = 30) -> Curve | NotJudged:
    """The curve of the main stream, or why it may not be judged (see :func:`streams.progress`)."""
    stream = progress(recording, minimum)
    if isinstance(stream, NotJudged):
        return stream
    if non_finite_end(recording, stream):
        return NotJudged(_ENDS_NON_FINITE())
    series = loss_series(recording, stream)
    values = series.values
    known = natural_scale(recording, stream)
    scale = known if known is not None else covered_range(values)
    judged = trend(values, scale)
    if judged is None:  # progress() has asked for more values than the trend needs
        judged = Trend("undecided", Change(0.0, 0.0, 0.0, 0.0, 0), scale, 0.01)
    since = series.steps[len(values) - judged.change.window] if judged.change.window else series.steps[-1]
    window = int(series.steps[-1] - since) + 1
    return Curve(stream, values, scale, known is not None, judged, window)


def has_fallen(values: Floats, sigmas: float = 4.0) -> bool:
    """Whether the last fifth lies below the first twentieth by ``sigmas`` robust standard errors.

    Medians of ten blocks of the last fifth, and the median of the first twentieth: spikes do not count. A steep
    start spreads the first twentieth without being noise, so its error is also bounded by the differences
    between neighbours in the first quarter.
    """
    head, tail = values[: max(3, len(values) // 20)], block_medians(values[-max(5, len(values) // 5) :], 10)
    early = min(mad_scale(head), difference_scale(values[: max(5, len(values) // 4)]))
    spread = max(mad_scale(tail), 1.25 * early / float(np.sqrt(len(head))))
    return float(np.median(head) - np.median(tail)) > sigmas * spread
