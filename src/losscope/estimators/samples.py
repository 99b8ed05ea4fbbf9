"""The mean of random samples, its standard error, and when that may be believed."""

import math
from collections.abc import Iterable

LEAST = 8
"""Samples below which no spread is believed: of two, one pair in ten agrees to an eighth of the true spread."""


class Samples:
    """Independent samples of one quantity."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self.values = [float(value) for value in values]

    def __len__(self) -> int:
        return len(self.values)

    def extend(self, values: Iterable[float]) -> None:
        """Add samples."""
        self.values.extend(float(value) for value in values)

    @property
    def mean(self) -> float:
        """Their mean; 0 of none."""
        return math.fsum(self.values) / max(len(self), 1)

    @property
    def variance(self) -> float:
        """The unbiased variance of one sample; infinite below two."""
        if len(self) < 2:
            return math.inf
        mean = self.mean
        return math.fsum((value - mean) ** 2 for value in self.values) / (len(self) - 1)

    @property
    def stderr(self) -> float:
        """The standard error of the mean."""
        return math.sqrt(self.variance / max(len(self), 1))


def caution(count: int) -> float:
    """What the standard error of ``count`` samples is multiplied by before it may end a search.

    The upper 95 % confidence limit of a normal spread, √((m-1) / χ²₀.₀₅(m-1)), by Wilson and Hilferty, PNAS 17 (1931);
    infinite below ``LEAST`` samples. Without it searches end where the spread came out small by luck.
    """
    if count < LEAST:
        return math.inf
    spread = 2 / (9 * (count - 1))
    return (1 - spread - 1.645 * math.sqrt(spread)) ** -1.5
