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


def student(count: int) -> float:
    """What the standard error of ``count`` samples is multiplied by, so that two of it hold the mean as often as two
    standard errors of many samples do: t₀.₉₇₇(m-1) / 2, by its expansion in 1/(m-1), Abramowitz and Stegun, 26.7.5.
    """
    if count < 2:
        return math.inf
    nu = count - 1
    return 1 + 1.25 / nu + 1.53 / nu**2 + 1.43 / nu**3


def spread_of_forms(square: float, trace: float, size: int) -> float:
    """The variance of xᵀBx for a symmetric B [n, n] of ‖B‖_F² = ``square`` and tr B, x uniform on the sphere of √n.

    2n/(n+2) (‖B‖_F² - (tr B)²/n). Where few eigenvalues make up B, a few forms vary less than that by luck as often as
    not (they are like χ² of as many degrees of freedom): an error bar that is to hold takes the larger of the two.
    """
    return 2 * size / (size + 2) * max(square - trace**2 / size, 0.0)
