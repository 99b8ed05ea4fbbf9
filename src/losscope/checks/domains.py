"""Predictions as free vectors: any real numbers stand for a point of the domain, so that a search cannot leave it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.checks.subject import Case, Subject, replaced
from losscope.losses.arguments import INF, KINDS

_EDGE = 1e-300


def to_domain(kind: str, free: Tensor) -> Tensor:
    """Real numbers as a value of this kind: σ, softmax, exp, or themselves."""
    if kind == "class-probabilities":
        return free.softmax(1)
    if kind == "log-probabilities":
        return free.log_softmax(1)
    if kind == "frame-log-probabilities":
        return free.log_softmax(-1)
    if kind == "boxes":
        corner, size = free[..., :2], free[..., 2:]
        return torch.cat([corner, corner + size.exp()], -1)
    low, high = KINDS[kind].low, KINDS[kind].high
    if low > -INF and high < INF:
        return low + (high - low) * free.sigmoid()
    if low > -INF:
        return low + free.exp()
    return high - free.exp() if high < INF else free


def from_domain(kind: str, value: Tensor) -> Tensor:
    """One free vector that :func:`to_domain` makes ``value`` of."""
    if kind == "class-probabilities":
        return value.clamp_min(_EDGE).log()
    if kind in ("log-probabilities", "frame-log-probabilities"):
        return value
    if kind == "boxes":
        return torch.cat([value[..., :2], (value[..., 2:] - value[..., :2]).clamp_min(_EDGE).log()], -1)
    low, high = KINDS[kind].low, KINDS[kind].high
    if low > -INF and high < INF:
        share = (value - low) / (high - low)
        return share.clamp_min(_EDGE).log() - (1 - share).clamp_min(_EDGE).log()
    if low > -INF:
        return (value - low).clamp_min(_EDGE).log()
    return (high - value).clamp_min(_EDGE).log() if high < INF else value


def unbounded(kind: str) -> bool:
    """Whether every real number is in the domain."""
    return KINDS[kind].low == -INF and KINDS[kind].high == INF


def inside(subject: Subject, case: Sequence[Tensor]) -> bool:
    """Whether all values of a case lie between the bounds of their kinds."""
    kinds = [argument.of for argument in subject.arguments]
    return all(bool(((v >= k.low) & (v <= k.high)).all()) for k, v in zip(kinds, case, strict=True))


@dataclass(frozen=True, slots=True)
class Free:
    """The predictions of ``template`` as one vector; its other arguments stay.

    Along the axes ``shared`` all entries of a prediction are equal: with "N", one row stands for every sample.
    """

    subject: Subject
    template: Case
    shared: frozenset[str] = frozenset()

    def shape(self, position: int) -> tuple[int, ...]:
        argument = self.subject.arguments[position]
        axes = (argument.axes or argument.of.axes).split()
        sizes = self.template[position].shape
        return tuple(1 if axis in self.shared else size for axis, size in zip(axes, sizes, strict=True))

    @property
    def size(self) -> int:
        return sum(torch.Size(self.shape(i)).numel() for i in self.subject.predictions)

    def vector(self, predictions: Sequence[Tensor] | None = None) -> Tensor:
        """The vector that stands for these predictions, by default the template's (of shared ones, the first)."""
        values = predictions or [self.template[i] for i in self.subject.predictions]
        pieces = []
        for i, value in zip(self.subject.predictions, values, strict=True):
            free = from_domain(self.subject.kind(i), value.detach())
            for axis, size in enumerate(self.shape(i)):
                free = free.narrow(axis, 0, size)
            pieces.append(free.reshape(-1))
        return torch.cat(pieces)

    def case(self, vector: Tensor) -> Case:
        """The case that a vector stands for, differentiable."""
        changes, start = {}, 0
        for i in self.subject.predictions:
            shape = self.shape(i)
            stop = start + torch.Size(shape).numel()
            free = vector[start:stop].reshape(shape).expand(self.template[i].shape)
            changes[i], start = to_domain(self.subject.kind(i), free), stop
        return replaced(self.template, changes)

    def value(self, vector: Tensor) -> Tensor:
        return self.subject.value(self.case(vector))

    def random(self, generator: torch.Generator, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(self.size, generator=generator, dtype=torch.float64)
