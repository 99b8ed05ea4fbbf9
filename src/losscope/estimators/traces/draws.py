"""Sums over samples from repeated draws: each sample of a batch is an independent draw, so that few passes suffice."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.estimators.samples import caution

_LEAST = 128
"""Numbers in a spread that is believed to an eighth, √(2/128). What ends on less is biased where draws are skewed."""


@dataclass
class Part:
    """Value, variance and passes of a part of a trace."""

    value: float = 0.0
    variance: float = 0.0
    passes: int = 0

    def add(self, coefficient: float, other: "Part") -> None:
        """Add ``coefficient`` times another part, of independent error."""
        self.value += coefficient * other.value
        self.variance += coefficient**2 * other.variance
        self.passes += other.passes


def least_draws(samples: int) -> int:
    """Draws of so many samples that their spread may be believed."""
    return 1 + math.ceil((_LEAST - 1) / max(samples, 1))


def draw_until(
    draw: Callable[[], Tensor],
    target: Callable[[float], float],
    *,
    most: float = math.inf,
    of: int | None = None,
) -> Part:
    """The sum over samples of E draw(), to a standard error of ``target(sum)``.

    ``draw`` gives unbiased numbers of all n samples, [n], independent of each other. With K draws the variance of the
    sum is Σ_i Var_i / K, which has n(K-1) degrees of freedom. ``of``: draws are made without replacement from so many,
    which takes 1 - K / of off the variance. Ends after ``most`` draws at the latest.
    """
    shift = draw().double()  # the first draw, subtracted from all against cancellation
    total, squares = torch.zeros_like(shift), torch.zeros_like(shift)
    most = min(most, of or math.inf)
    count, wanted = 1, min(least_draws(len(shift)), most)
    while True:
        while count < wanted:
            found = draw().double() - shift
            total += found
            squares += found.square()
            count += 1
        value = float((shift + total / count).sum())
        if count == of:
            return Part(value, 0.0, count)
        spread = float((squares - total.square() / count).clamp_min(0).sum()) / (count - 1)
        left = 1 - count / of if of else 1.0
        allowed = (target(value) / caution((count - 1) * len(shift) + 1)) ** 2
        if left * spread / count <= allowed or count >= most:
            return Part(value, left * spread / count, count)
        rest = allowed + (spread / of if of else 0.0)
        wanted = min(max(count + 1, spread / rest if rest else math.inf), most)
