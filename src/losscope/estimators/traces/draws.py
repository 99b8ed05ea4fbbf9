"""Sums over samples from repeated draws: each sample of a batch is an independent draw, so that few passes suffice."""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.estimators.budget import Budget
from losscope.estimators.samples import caution

_LEAST = 128
"""Numbers in a spread that is believed to an eighth, √(2/128). What ends on less is biased where draws are skewed."""


@dataclass
class Part:
    """Value and variance of a part of a trace."""

    value: float = 0.0
    variance: float = 0.0

    def add(self, coefficient: float, other: "Part") -> None:
        """Add ``coefficient`` times another part, of independent error."""
        self.value += coefficient * other.value
        self.variance += coefficient**2 * other.variance


Draws = Generator[Part, None, Part]
"""Yields what is known where time is up, to be resumed; returns the end."""


def least_draws(samples: int) -> int:
    """Draws of so many samples that their spread may be believed."""
    return 1 + math.ceil((_LEAST - 1) / max(samples, 1))


def draw_until(
    draw: Callable[[], Tensor],
    target: Callable[[float], float],
    budget: Budget,
    *,
    most: float = math.inf,
    of: int | None = None,
) -> Draws:
    """The sum over samples of E draw(), to a standard error of ``target(sum)``.

    ``draw`` gives unbiased numbers of all n samples, [n], independent of each other. With K draws the variance of the
    sum is Σ_i Var_i / K, which has n(K-1) degrees of freedom. ``of``: draws are made without replacement from so many,
    which takes 1 - K / of off the variance. Ends after ``most`` draws at the latest. Where time or products run
    out before, the sum so far is yielded, with an infinite variance of one draw, and draws go on when it is resumed.
    Every draw counts in ``budget.used``.
    """
    budget.used += 1
    shift = draw().double()  # the first draw, subtracted from all against cancellation
    total, squares = torch.zeros_like(shift), torch.zeros_like(shift)
    most = min(most, of or math.inf)

    def part() -> Part:
        value = float((shift + total / count).sum())
        if count == of:
            return Part(value, 0.0)
        if count == 1:
            return Part(value, math.inf)
        spread = float((squares - total.square() / count).clamp_min(0).sum()) / (count - 1)
        return Part(value, (1 - count / of if of else 1.0) * spread / count)

    count, wanted = 1, min(least_draws(len(shift)), most)
    while True:
        while count < wanted:
            if budget.late:
                yield part()
            budget.used += 1
            found = draw().double() - shift
            total += found
            squares += found.square()
            count += 1
        found = part()
        allowed = (target(found.value) / caution((count - 1) * len(shift) + 1)) ** 2
        if found.variance <= allowed or count >= most:
            return found
        spread = found.variance * count / (1 - count / of if of else 1.0)
        rest = allowed + (spread / of if of else 0.0)
        wanted = min(max(count + 1, spread / rest if rest else math.inf), most)
