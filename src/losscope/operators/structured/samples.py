"""Which axis of what flows through a network runs over samples: found by sending one sample's output back alone."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from losscope.core.errors import NotReadable
from losscope.objective.objective import Objective
from losscope.operators.linearisation import Linearisation
from losscope.operators.structured.use import Product, Use, Vector

FIRST, SECOND = 0, 1
"""Rows of a product lie as [samples, places], or as [places, samples]."""
Key = tuple[tuple[int, ...], int]


_AXES: WeakKeyDictionary[Objective, dict[Key, int | None]] = WeakKeyDictionary()


def axes_of(objective: Objective) -> dict[Key, int | None]:
    """Which axes run over samples: found once for an objective, by a backward pass."""
    return _AXES.setdefault(objective, {})


class Samples:
    """The samples of one batch. ``axes`` is shared by all batches: it is found on the first one that is asked."""

    def __init__(self, batch: Linearisation, axes: dict[Key, int | None]) -> None:
        self.count = batch.samples or 1
        self._batch, self._axes = batch, axes
        self.dtype, self.device = batch.loss.dtype, batch.loss.device

    def find(self, uses: Sequence[Use]) -> None:
        """Find the axes of uses; at most one backward pass, without gradients of weights."""
        unsure = []
        for use in uses:
            sure = self._sure(use)
            if sure is not None:
                self._axes.setdefault(_key(use), sure)
            elif _key(use) not in self._axes:
                unsure.append(use)
        if not unsure:
            return
        for use, g in zip(unsure, self._alone(unsure), strict=True):
            if g is not None:
                self._axes[_key(use)] = self._tested(use, g)

    def _alone(self, uses: Sequence[Use]) -> Sequence[Tensor | None]:
        """The gradients at uses if the first sample's output alone is sent back."""
        generator = torch.Generator(self._batch.loss.device).manual_seed(0)
        alone = [torch.zeros_like(p) for p in self._batch.predictions]
        for a in alone:
            own = a[:1]
            own.copy_(torch.randn(own.shape, generator=generator, dtype=a.dtype, device=a.device))
        return torch.autograd.grad(
            self._batch.predictions, [use.edge for use in uses], alone, retain_graph=True, allow_unused=True
        )

    def meet(self, uses: Sequence[Use]) -> bool:
        """Whether what one sample's output is sent back to are rows of others."""
        for use, g in zip(uses, self._alone(uses), strict=True):
            if g is None or not isinstance(use, Product):
                continue
            reached = self.rows(use, use.gradients(g))
            if reached is not None and bool((reached[:, 1:] != 0).any()):
                return True
        return False

    def axis(self, use: Use) -> int | None:
        """Of a product ``FIRST`` or ``SECOND``, of a vector an axis of its values; ``None``: there is none."""
        return self._axes.get(_key(use), FIRST)

    def rows(self, use: Product, value: Tensor) -> Tensor | None:
        """[groups, parts, places, d] or [rows] as [groups, samples, places, d] or [samples, places]."""
        axis, at = self.axis(use), 0 if value.dim() == 1 else 1
        if axis == FIRST and at and value.shape[1] == self.count:
            return value
        if at:
            value = value.flatten(1, 2)
        if axis is None or value.shape[at] % self.count:
            return None
        if axis == FIRST:
            return value.unflatten(at, (self.count, -1))
        return value.unflatten(at, (-1, self.count)).transpose(at, at + 1)

    def vectors(self, use: Vector, g: Tensor) -> Tensor:
        """The gradient of every sample, [samples, size of the parameter]."""
        axis, values = self.axis(use), use.values(g)
        padded = (*(1 for _ in range(values.dim() - len(use.shape))), *use.shape)
        if axis is None or padded[axis] != 1 or values.shape[axis] % self.count:
            raise NotReadable(
                "a parameter is not broadcast over samples", seen=f"values {list(values.shape)}"
            )
        if values.shape[axis] != self.count:  # rows are places of samples
            values, padded = values.unflatten(axis, (self.count, -1)), (*padded[:axis], 1, *padded[axis:])
        summed = [d for d, length in enumerate(padded) if length == 1 and d != axis]
        if summed:
            values = values.sum(summed, keepdim=True)
        return use.pulled(values.movedim(axis, 0).reshape(self.count, -1))

    def _sure(self, use: Use) -> int | None:
        """Where no test is needed: one sample; images; a row for each sample."""
        if use.first == self.count or (self.count == 1 and isinstance(use, Product)):
            return FIRST
        return None

    def _tested(self, use: Use, g: Tensor) -> int | None:
        if isinstance(use, Vector):
            return _only_first(use.values(g), use.shape, self.count)
        rows = use.gradients(g).flatten(1, 2).abs().sum((0, 2)) != 0
        if len(rows) % self.count:
            return None
        places = len(rows) // self.count
        if bool(rows[places:].any()) and not bool(rows.view(places, self.count)[:, 1:].any()):
            return SECOND
        return FIRST  # or samples meet, as in batch normalisation: then as images lie


def _key(use: Use) -> Key:
    return use.positions, use.ordinal


def _only_first(values: Tensor, shape: tuple[int, ...], count: int) -> int | None:
    """The axis along which nothing but the first entry is reached, and the parameter is the same."""
    padded = (*(1 for _ in range(values.dim() - len(shape))), *shape)
    free = [d for d, length in enumerate(padded) if length == 1 and values.shape[d] == count]
    for d in free:
        if not bool(values.narrow(d, 1, count - 1).any()):
            return d
    if free:
        return free[0]
    if padded[0] == 1 and values.dim() and values.shape[0] % count == 0:
        first = values.shape[0] // count  # rows are places of samples
        return None if bool(values[first:].any()) else 0
    return None
