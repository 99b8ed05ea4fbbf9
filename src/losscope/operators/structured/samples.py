"""Which axis of what flows through a network runs over samples: found by sending one sample's output back alone."""

from collections.abc import Sequence

import torch
from torch import Tensor

from losscope.operators.linearisation import Linearisation
from losscope.operators.structured.uses import Product, Use, Vector

FIRST, SECOND = 0, 1
"""Rows of a product lie as [samples, places], or as [places, samples]."""
Key = tuple[tuple[int, ...], int]


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
        generator = torch.Generator(self._batch.loss.device).manual_seed(0)
        alone = [torch.zeros_like(p) for p in self._batch.predictions]
        for a in alone:
            own = a[:1]
            own.copy_(torch.randn(own.shape, generator=generator, dtype=a.dtype, device=a.device))
        found = torch.autograd.grad(
            self._batch.predictions, [use.edge for use in unsure], alone, retain_graph=True, allow_unused=True
        )
        for use, g in zip(unsure, found, strict=True):
            if g is not None:
                self._axes[_key(use)] = self._tested(use, g)

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
        axis = self.axis(use)
        assert axis is not None
        values = use.values(g)
        padded = (*(1 for _ in range(values.dim() - len(use.shape))), *use.shape)
        summed = [d for d, length in enumerate(padded) if length == 1 and d != axis]
        if summed:
            values = values.sum(summed, keepdim=True)
        return values.movedim(axis, 0).reshape(values.shape[axis], -1)

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
    return free[0] if free else None
