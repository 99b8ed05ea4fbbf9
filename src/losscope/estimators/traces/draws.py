"""Sums over samples from repeated draws: each sample of a batch is an independent draw, so that few passes suffice."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.estimators.samples import LEAST, caution


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
    """Draws of so many samples that a spread may be believed of."""
    return 1 + math.ceil((LEAST - 1) / max(samples, 1))


def draw_until(
    draw: Callable[[], Tensor], target: Callable[[float], float], most: float, *, or_not: bool = False
) -> tuple[Part, bool]:
    """The sum over samples of E draw(), and whether its standard error is below ``target(sum)``.

    ``draw`` gives unbiased numbers of all n samples, [n], independent of each other. With K draws the variance of the
    sum is Σ_i Var_i / K, which has n(K-1) degrees of freedom. Ends after ``most`` draws; with ``or_not`` as soon as it
    is clear that more are needed.
    """
    shift = draw().double()  # the first draw, subtracted from all against cancellation
    total, squares = torch.zeros_like(shift), torch.zeros_like(shift)
    count, wanted = 1, least_draws(len(shift))
    while True:
        for _ in range(wanted - count):
            found = draw().double() - shift
            total += found
            squares += found.square()
        count = wanted
        value = float((shift + total / count).sum())
        variance = float((squares - total.square() / count).clamp_min(0).sum()) / (count - 1)
        stderr = math.sqrt(variance / count) * caution((count - 1) * len(shift) + 1)
        part, aim = Part(value, variance / count, count), target(value)
        if stderr <= aim:
            return part, True
        needed = count * (stderr / aim) ** 2 if aim else math.inf
        if count >= most or (or_not and needed > most):
            return part, False
        wanted = max(count + 1, math.ceil(min(needed, most)))
