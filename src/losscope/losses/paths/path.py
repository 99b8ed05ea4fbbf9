"""A way through the inputs of a loss: from a wrong over an uninformed to a perfect prediction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.losses.arguments import Argument
from losscope.losses.spec import LossSpec

Case = tuple[Tensor, ...]
DOUBLE = torch.float64
MARGIN = 6.0
"""Scores are drawn as far as this on both sides: σ(6) = 0.9975."""
ALMOST = 0.005
"""Probabilities and cosines are drawn to this distance of their ends, where logarithms and angles have no slope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """``at(x)`` gives the arguments for one number; ``label`` says what that number is, ``name`` which curve it is.

    ``uninformed`` and ``perfect`` are the numbers of a prediction that knows nothing, and of one that nothing is to
    be added to (an end of the path where that is a limit); ``None`` where the path has no such point. ``rows`` is the
    number of samples that the case holds, where the value depends on it.
    """

    label: str
    low: float
    high: float
    at: Callable[[Tensor], Case]
    name: str = ""
    uninformed: float | None = None
    perfect: float | None = None
    rows: int | None = None


def by_margin(label: str, at: Callable[[Tensor], Case], name: str = "") -> Path:
    """From wrong to right scores."""
    return Path(name=name, label=label, at=at, low=-MARGIN, high=MARGIN, uninformed=0.0, perfect=MARGIN)


def by_share(label: str, at: Callable[[Tensor], Case], name: str = "", uninformed: float = 0.5) -> Path:
    """From the probability 0 of the right answer to 1."""
    return Path(
        name=name, label=label, at=at, low=ALMOST, high=1 - ALMOST, uninformed=uninformed, perfect=1 - ALMOST
    )


def by_cosine(label: str, at: Callable[[Tensor], Case], rows: int | None = None) -> Path:
    """From opposite over right angles to the same direction."""
    return Path(
        label=label, at=at, low=-1 + ALMOST, high=1 - ALMOST, uninformed=0.0, perfect=1 - ALMOST, rows=rows
    )


def kinds_of(spec: LossSpec) -> list[str]:
    """The kinds of the arguments, in order."""
    return [argument.kind for argument in spec.arguments]


def claims(spec: LossSpec, name: str) -> bool:
    """Whether the contract claims this property."""
    return any(claim.name == name and claim.holds for claim in spec.claims)


def shape_of(spec: LossSpec, argument: Argument, rows: int = 1) -> tuple[int, ...]:
    """Lengths of the axes of an argument for so many samples."""
    return argument.shape({**spec.lengths, "N": rows})


def filled(number: float, *shape: int) -> Tensor:
    """A constant tensor in double precision."""
    return torch.full(shape, number, dtype=DOUBLE)


def numbers(*values: float) -> Tensor:
    """A vector in double precision."""
    return torch.tensor(values, dtype=DOUBLE)


def signed(values: Sequence[float]) -> list[tuple[str, float]]:
    """Names and values of the targets that get a curve of their own; one alone needs no name."""
    return [(f"target {v:g}".replace("-", "−") if len(values) > 1 else "", v) for v in values]
