"""Which axis of what flows through a network runs over samples: every row is asked which output it is reached by.

Random weights u of the outputs are sent back twice, the second time times a number w_i of each sample i. What sample i
alone reaches then comes back w_i times as large, so that an order of rows is right where it says that of every row;
what several samples reach is a multiple of nothing. The w_i are powers of two with signs: multiplying by them does not
round, so that the two passes agree to the last bit also under autocast.

Up to 32 samples all w_i differ, and no wrong order can pass; beyond that they repeat, and one row too many of another
sample passes with probability 1/32, as many as a wrong order has never.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from losscope.core.errors import NotReadable
from losscope.objective.objective import Objective
from losscope.operators.linearisation import Linearisation
from losscope.operators.state import state
from losscope.operators.structured.use import Product, Use, Vector

FIRST, SECOND = 0, 1
"""Rows lie as [samples, places], or as [places, samples]."""
Key = tuple[tuple[int, ...], int]


class Axis(NamedTuple):
    """Samples run along axis ``at`` of a vector's values, or of a product's rows (0), in this order."""

    at: int = 0
    order: int = FIRST


@dataclass
class Axes:
    """What was found, by the shapes of a batch, and whether samples meet somewhere."""

    found: dict[object, Axis | None] = field(default_factory=dict)
    meet: bool = False


_AXES: WeakKeyDictionary[Objective, tuple[object, Axes]] = WeakKeyDictionary()
_POWERS = 8


def axes_of(objective: Objective) -> Axes:
    """What was found for an objective, kept as long as it stays as it is."""
    now = state(objective)
    kept = _AXES.get(objective)
    if kept is None or kept[0] != now:
        kept = _AXES[objective] = now, Axes()
    return kept[1]


class Samples:
    """The samples of one batch. ``axes`` is shared by all batches: those of equal shapes are asked once."""

    def __init__(self, batch: Linearisation, axes: Axes) -> None:
        self.count = batch.samples or 1
        self._batch, self._kept = batch, axes
        self._found: dict[Key, Axis | None] = {}
        self.dtype, self.device = batch.loss.dtype, batch.loss.device
        self.working = torch.promote_types(self.dtype, torch.float32)

    def find(self, uses: Sequence[Use]) -> None:
        """Find the axes of uses; at most two backward passes, without gradients of weights."""
        unsure = []
        for use in uses:
            if _key(use) in self._found:
                continue
            if self.count == 1 and isinstance(use, Product):
                self._found[_key(use)] = Axis()
            elif (shape := self._shape(use)) in self._kept.found:
                self._found[_key(use)] = self._kept.found[shape]
            else:
                unsure.append(use)
        if not unsure:
            return
        weights = self._weights()
        plain = [self._random(p) for p in self._batch.predictions]
        one = self._sent(unsure, plain)
        two = self._sent(unsure, [_times(u, weights) for u in plain])
        for use, g, h in zip(unsure, one, two, strict=True):
            if g is not None and h is not None:
                self._found[_key(use)] = self._asked(use, g, h, weights)

    @property
    def meet(self) -> bool:
        """Whether what several samples reach was found."""
        return self._kept.meet

    def axis(self, use: Use) -> Axis | None:
        """Where the samples of a use lie; ``None``: there is no such axis, or samples meet."""
        return self._found.get(_key(use), Axis())

    def rows(self, use: Product, value: Tensor) -> Tensor | None:
        """[groups, parts, places, d] or [rows] as [groups, samples, places, d] or [samples, places].

        Where samples meet, the rows are taken as if they lay in order.
        """
        axis, at = self.axis(use) or Axis(), 0 if value.dim() == 1 else 1
        if axis.order == FIRST and at and value.shape[1] == self.count:
            return value
        if at:
            value = value.flatten(1, 2)
        if value.shape[at] % self.count:
            return None
        if axis.order == FIRST:
            return value.unflatten(at, (self.count, -1))
        return value.unflatten(at, (-1, self.count)).transpose(at, at + 1)

    def sums(self, use: Use, values: Tensor) -> Tensor:
        """The sum of numbers in the shape of a node's output for each sample, [samples]."""
        axis = self.axis(use)
        if axis is None:
            raise NotReadable("rows of a layer are not places of samples", seen=f"{list(values.shape)}")
        if isinstance(use, Product) and axis.order == SECOND:
            values = values.reshape(-1, values.shape[-1])
        elif isinstance(use, Product):
            values = values.reshape(self.count, -1)
        return _apart(values, axis, self.count).flatten(1).sum(1)

    def vectors(self, use: Vector, g: Tensor) -> Tensor:
        """The gradient of every sample, [samples, size of the parameter]."""
        axis, values = self.axis(use), use.values(g)
        padded = _padded(use, values)
        if axis is None or padded[axis.at] != 1 or values.shape[axis.at] % self.count:
            raise NotReadable(
                "a parameter is not broadcast over samples", seen=f"values {list(values.shape)}"
            )
        values = _apart(values, axis, self.count).sum(1)
        rest = (*padded[: axis.at], *padded[axis.at + 1 :])
        summed = [d + 1 for d, length in enumerate(rest) if length == 1]
        if summed:
            values = values.sum(summed, keepdim=True)
        return use.pulled(values.reshape(self.count, -1))

    def _sent(self, uses: Sequence[Use], weights: Sequence[Tensor]) -> Sequence[Tensor | None]:
        """The gradients at uses."""
        edges: list[Any] = [use.edge for use in uses]
        return torch.autograd.grad(
            self._batch.predictions, edges, list(weights), retain_graph=True, allow_unused=True
        )

    def _random(self, like: Tensor) -> Tensor:
        generator = torch.Generator(like.device).manual_seed(0)
        return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)

    def _weights(self) -> Tensor:
        """[samples]: ±2ᵏ in random order, each once before one comes again."""
        generator = torch.Generator().manual_seed(1)
        powers = torch.arange(-_POWERS, _POWERS, dtype=torch.float64).exp2()
        powers = torch.cat([powers, -powers])
        rounds = -(-self.count // len(powers))
        drawn = [powers[torch.randperm(len(powers), generator=generator)] for _ in range(rounds)]
        return torch.cat(drawn)[: self.count].to(self.device, self.dtype)

    def _asked(self, use: Use, g: Tensor, h: Tensor, weights: Tensor) -> Axis | None:
        one, two = _values(use, g), _values(use, h)
        fit = [axis for axis in self._candidates(use, one) if _fits(one, two, axis, weights)]
        if not fit and isinstance(use, Product) and not _each_of_one(one, two, weights):
            self._kept.meet = True
        if len(fit) < 2:  # what fits twice may be told apart by another batch
            self._kept.found[self._shape(use)] = fit[0] if fit else None
        return fit[0] if fit else None

    def _candidates(self, use: Use, values: Tensor) -> Iterator[Axis]:
        padded = (1,) if isinstance(use, Product) else _padded(use, values)
        for at, length in enumerate(padded):
            if length == 1 and values.shape[at] == self.count:
                yield Axis(at)
        if padded and padded[0] == 1 and values.shape[0] != self.count and not values.shape[0] % self.count:
            yield Axis(0, FIRST)
            yield Axis(0, SECOND)

    def _shape(self, use: Use) -> object:
        node = use.edge.node
        return self.count, _key(use), node.name(), tuple(node._input_metadata[use.edge.output_nr].shape)


def _key(use: Use) -> Key:
    return use.positions, use.ordinal


def _values(use: Use, g: Tensor) -> Tensor:
    """Of a product [rows, …]; of a vector what is summed up over axes."""
    return use.gradients(g).flatten(1, 2).transpose(0, 1) if isinstance(use, Product) else use.values(g)


def _padded(use: Vector, values: Tensor) -> tuple[int, ...]:
    return (*(1 for _ in range(values.dim() - len(use.shape))), *use.shape)


def _apart(values: Tensor, axis: Axis, count: int) -> Tensor:
    """[samples, places, …]."""
    values = values.movedim(axis.at, 0)
    if axis.order == FIRST:
        return values.unflatten(0, (count, -1))
    return values.unflatten(0, (-1, count)).transpose(0, 1)


def _times(values: Tensor, weights: Tensor) -> Tensor:
    return values * weights.to(values.dtype).view(-1, *(1 for _ in values.shape[1:]))


def _fits(one: Tensor, two: Tensor, axis: Axis, weights: Tensor) -> bool:
    """Whether in this order every sample's rows came back as many times as large as its weight says."""
    one, two = _apart(one, axis, len(weights)), _apart(two, axis, len(weights))
    away = _times(two, 1 / weights) - one
    return float(away.norm()) <= torch.finfo(one.dtype).eps ** 0.5 * float(one.norm())


def _each_of_one(one: Tensor, two: Tensor, weights: Tensor) -> bool:
    """Whether every row [rows, …] is reached by one sample, whichever: then their order alone is not known."""
    one, two = one.flatten(1), two.flatten(1)
    ratio = (one * two).sum(1) / one.square().sum(1).clamp_min(torch.finfo(one.dtype).tiny)
    known = weights.to(one.dtype).unique()
    nearest = known[(ratio[:, None] - known).abs().argmin(1)]
    away = two / nearest[:, None] - one
    return float(away.norm()) <= torch.finfo(one.dtype).eps ** 0.5 * float(one.norm())
