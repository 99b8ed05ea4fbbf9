"""The loss curve of the main stream, judged once and read by several rules."""

from dataclasses import dataclass

from losscope.core.finding import NotJudged
from losscope.core.text import Text
from losscope.recording.reader import Recording
from losscope.rules.statistics.batch_means import Change, Trend, change, covered_range, trend
from losscope.rules.statistics.robust import Floats, block_means
from losscope.rules.streams import losses, non_finite_end, progress
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

    @property
    def first(self) -> float:
        """Level at the start: mean of the first 1 % of the updates, at most ten."""
        return first_level(self.losses)

    @property
    def last(self) -> float:
        """Level at the end: mean of the last 5 % of the updates."""
        return last_level(self.losses)


def first_level(values: Floats) -> float:
    return float(values[: max(1, min(10, len(values) // 100))].mean())


def last_level(values: Floats) -> float:
    return float(values[-max(1, len(values) // 20) :].mean())


def loss_curve(recording: Recording, minimum: int = 30) -> Curve | NotJudged:
    """The curve of the main stream, or why it may not be judged (see :func:`streams.progress`)."""
    stream = progress(recording, minimum)
    if isinstance(stream, NotJudged):
        return stream
    if non_finite_end(recording, stream):
        return NotJudged(_ENDS_NON_FINITE())
    values = losses(recording, stream)
    known = natural_scale(recording, stream)
    scale = known if known is not None else covered_range(values)
    judged = trend(values, scale)
    if judged is None:  # progress() has asked for more values than the trend needs
        judged = Trend("undecided", Change(0.0, 0.0, 0.0, 0.0, 0), scale, 0.01)
    return Curve(stream, values, scale, known is not None, judged)


def whole_change(values: Floats) -> Change | None:
    """Change over the whole run, after the first twentieth: did anything fall at all?"""
    return change(values[len(values) // 20 :])


def has_fallen(values: Floats, sigmas: float = 4.0) -> bool:
    """Whether the last fifth lies below the first twentieth by ``sigmas`` standard errors of block means."""
    head, tail = values[: max(3, len(values) // 20)], values[-max(5, len(values) // 5) :]
    parts = block_means(tail, 10)
    error = float(parts.std(ddof=1)) if parts.size > 1 else 0.0
    spread = max(error, float(head.std()) / max(1.0, float(len(head)) ** 0.5))
    return float(head.mean() - tail.mean()) > sigmas * spread
