"""Axes: from values to positions in [0, 1], with ticks at 1, 2 or 5 times a power of ten."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from losscope.report.values import number

# Beyond these a difference or a ratio of two values leaves the range of float64.
_LARGEST = 1e300
_SMALLEST = 1e-300
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled value on an axis and its position in [0, 1]."""

    value: float
    label: str
    position: float


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear or logarithmic axis from ``low`` to ``high`` (finite, ``low < high``; positive if ``log``)."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"an axis needs finite limits in order, not {self.low} … {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic axis needs positive limits, not {self.low}")

    def position(self, value: float) -> float:
        """Position of one value: 0 at ``low``, 1 at ``high``, outside beyond; infinities sit one axis away."""
        return float(self.positions(np.array([value], dtype=np.float64))[0])

    def positions(self, values: np.ndarray) -> np.ndarray:
        """Positions of many values, limited to [-1, 2]; ``NaN`` stays ``NaN``."""
        values = np.clip(np.asarray(values, dtype=np.float64), -_LARGEST, _LARGEST)
        if not self.log:
            half = values / 2 - self.low / 2  # halves first: a full span may overflow
            with np.errstate(over="ignore"):  # of a span near the smallest number: beyond the edge either way
                return np.clip(half / (self.high / 2 - self.low / 2), -1.0, 2.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(values > 0, np.log(np.maximum(values, _SMALLEST)), -np.inf)
        logs = np.where(np.isnan(values), np.nan, logs)
        span = math.log(self.high) - math.log(self.low)
        return np.clip((logs - math.log(self.low)) / span, -1.0, 2.0)

    def ticks(self, count: int = 5) -> list[Tick]:
        """About ``count`` ticks inside the axis, in rising order."""
        values = (
            log_ticks(self.low, self.high, count) if self.log else linear_ticks(self.low, self.high, count)
        )
        step = values[1] - values[0] if len(values) > 1 else 0.0
        label = log_label if self.log else (lambda v: linear_label(v, step))
        return [Tick(v, label(v), self.position(v)) for v in values]


def fit(values: Iterable[float] | np.ndarray, *, log: bool = False, padding: float = 0.04) -> Scale:
    """The axis that holds all finite (for ``log``: positive) values with a little room around them.

    No value gives the axis 0 … 1 (or 0.1 … 10), one distinct value an axis around it.
    """
    array = np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=np.float64)
    array = array[np.isfinite(array)]
    array = np.clip(array, -_LARGEST, _LARGEST)
    if log:
        return _fit_log(array, padding)
    if not array.size:
        return Scale(0.0, 1.0)
    low, high = float(array.min()), float(array.max())
    magnitude = max(abs(low), abs(high))
    if high / 2 - low / 2 <= max(1e-9 * magnitude, _SMALLEST):
        room = 0.5 * magnitude if magnitude > _SMALLEST else 0.5
        return Scale(low - room, high + room)
    room = padding * (high - low)
    return Scale(low - room, high + room)


def _fit_log(array: np.ndarray, padding: float) -> Scale:
    array = array[array > _SMALLEST]
    if not array.size:
        return Scale(0.1, 10.0, log=True)
    low, high = math.log10(float(array.min())), math.log10(float(array.max()))
    room = padding * (high - low) if high - low > 1e-6 else 0.5
    return Scale(10 ** max(low - room, -305.0), 10 ** min(high + room, 305.0), log=True)


def wants_log(values: np.ndarray, ratio: float = 30.0) -> bool:
    """Whether a logarithmic axis shows these values better: all positive, spread over ``ratio`` or more.

    Zeros are allowed where they are few (a gradient that vanished at some steps): they are drawn at the
    lower edge.
    """
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    if positive.size < 2 or (finite < 0).any() or positive.size < 0.5 * finite.size:
        return False
    return float(positive.max()) / ratio > float(positive.min())


def nice_step(span: float, count: int) -> float:
    """The smallest of 1, 2, 5 · 10ᵏ that cuts ``span`` into at most ``count`` pieces."""
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1.0, 2.0, 5.0):
        if factor * power >= raw * (1 - 1e-9):
            return factor * power
    return 10.0 * power


def linear_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Multiples of a nice step inside ``[low, high]``: about ``count``, never fewer than three."""
    step = nice_step(high - low, count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if last - first < 2 and count < 12:
        return linear_ticks(low, high, count + 1)
    return [i * step for i in range(first, min(last, first + 4 * count) + 1)]


def log_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Powers of ten inside ``[low, high]``, thinned to ``count``; below two decades also 2 and 5 times."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    powers = list(range(first, last + 1))
    if len(powers) >= 3:
        stride = max(1, math.ceil(len(powers) / count))
        return [float(f"1e{p}") for p in powers if p % stride == 0]
    candidates = [f * 10.0**p for p in range(first - 1, last + 1) for f in (1.0, 2.0, 5.0)]
    inside = [v for v in candidates if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
    return inside if len(inside) >= 2 else [v for v in linear_ticks(low, high, count) if v > 0]


def step_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Ticks for counts of steps: whole numbers only."""
    ticks = linear_ticks(low, high, count)
    return [round(v) for v in ticks if abs(v - round(v)) < 1e-6] or [math.ceil(low)]


def linear_label(value: float, step: float) -> str:
    """``value`` with as many decimals as neighbouring ticks need to differ."""
    size = max(abs(value), abs(step))
    if value == 0:
        return "0"
    if size >= 1e6 or size < 1e-4:
        return power_label(value)
    if step <= 0:
        return number(value)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{decimals}f}"


def log_label(value: float) -> str:
    """Plain between 0.001 and 10,000, a power of ten outside."""
    return number(value, 3) if 1e-3 <= value < 1e5 else power_label(value)


def power_label(value: float) -> str:
    """``2·10⁻⁵``, ``10¹²``."""
    mantissa, exponent = f"{value:.3e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    return power if mantissa == "1" else f"{mantissa}·{power}"


def step_label(step: float) -> str:
    """A step number: ``900``, ``20k``, ``1.5M``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(step) >= size:
            return f"{step / (1e3 if letter == 'k' else size):g}{letter}"
    return f"{step:,.0f}"
