"""Categorical: cross-entropy of logits, of log-probabilities, or of probabilities that the model gives itself.

In the logits s = p - e_y and E s sᵀ = diag(p) - ppᵀ. A model that ends in a log-softmax has the same scores: their part
along p is lost on the way back, since probabilities sum to 1. With p as prediction s = -e_y/p_y and E s sᵀ = diag(1/p).
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from losscope.operators.likelihood import Likelihood, Rows, View
from losscope.operators.likelihoods.elements import ratio

_PARTS = 1e-3  # rounding of a sum of probabilities, in half precision too


class Categorical(Rows):
    """Rows over the classes along ``axis``; ``of_probabilities``: the prediction is p itself."""

    def __init__(
        self, slope: Tensor, mass: Tensor, p: Tensor, axis: int, of_probabilities: bool = False
    ) -> None:
        super().__init__([slope], mass)
        self._p, self._axis = p, axis
        self._scale = 1 / p.clamp_min(torch.finfo(p.dtype).tiny) if of_probabilities else None

    def product(self, vector: Sequence[Tensor]) -> list[Tensor]:
        (w,) = vector
        if self._scale is not None:
            return [self.mass * self._scale * w]
        weighted = self._p * w
        return [self.mass * (weighted - self._p * weighted.sum(self._axis, keepdim=True))]

    def inner(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
        return (one[0] * other[0]).sum(self._axis, keepdim=True)

    def drawn(self, generator: torch.Generator) -> list[Tensor]:
        total = self._p.cumsum(self._axis)
        shape = self._p.narrow(self._axis, 0, 1).shape
        level = torch.rand(shape, generator=generator, dtype=total.dtype, device=total.device)
        level = level * total.narrow(self._axis, total.shape[self._axis] - 1, 1)
        label = (total <= level).sum(self._axis, keepdim=True).clamp_max(total.shape[self._axis] - 1)
        return [self.mass.sqrt() * self._score(label)]

    def rooted(self, vector: Sequence[Tensor]) -> list[Tensor]:
        (w,) = vector
        if self._scale is not None:
            return [(self.mass * self._scale).sqrt() * w]
        u = self._p.sqrt() * w  # diag(p) - ppᵀ = S Sᵀ with S = diag(√p) (I - √p √pᵀ)
        return [self.mass.sqrt() * (u - self._p * u.sum(self._axis, keepdim=True))]

    def _score(self, label: Tensor) -> Tensor:
        hot = torch.zeros_like(self._p).scatter_(self._axis, label, 1)
        return self._p - hot if self._scale is None else -hot * self._scale

    def root(self) -> Iterator[list[Tensor]]:
        """√(m p_c) s_c for each class c, row by row of a sample."""
        p = self._p.movedim(self._axis, -1)
        samples = 1 if self._axis == 0 else self._p.shape[0]
        rows = p.reshape(samples, -1, p.shape[-1])
        for c in range(p.shape[-1]):
            label = torch.full_like(self._p.narrow(self._axis, 0, 1), c, dtype=torch.long)
            size = (self.mass * self._p.narrow(self._axis, c, 1)).sqrt()
            column = (size * self._score(label)).movedim(self._axis, -1).reshape(rows.shape)
            for t in range(rows.shape[1]):
                alone = torch.zeros_like(column)
                alone[:, t] = column[:, t]
                yield [alone.view(p.shape).movedim(-1, self._axis)]


def _read(view: View) -> Rows | None:
    (f,) = view.predictions
    if not f.dim():
        return None
    first = min(1, f.dim() - 1)
    own = first if view.term.prediction_shape == tuple(f.shape) else f.dim() - 1
    for axis in dict.fromkeys((own, first, f.dim() - 1)):
        found = _along(view, f, axis)
        if found is not None:
            return found
    return None


def _along(view: View, f: Tensor, axis: int) -> Rows | None:
    (slope,) = view.slopes
    signs = torch.ones_like(f)
    signs.narrow(axis, 0, (f.shape[axis] + 1) // 2).neg_()
    signs *= 1 + torch.arange(f.shape[axis], dtype=f.dtype, device=f.device).view(
        [-1 if i == axis else 1 for i in range(f.dim())]
    ) / (2 * f.shape[axis])  # not constant over the classes, and no two alike
    (curved,) = view.curve([signs])
    if not bool(curved.any()) and _sums_to_one(f.exp(), axis):
        return Categorical(slope, (-slope.sum(axis, keepdim=True)).clamp_min(0), f.exp(), axis)
    if bool((f >= 0).all()) and _sums_to_one(f, axis):
        counts = -slope * f  # m q
        inverse = 1 / f.clamp_min(torch.finfo(f.dtype).tiny)
        if view.agrees([curved], [counts * inverse.square() * inverse * f * signs]):
            return Categorical(slope, counts.sum(axis, keepdim=True).clamp_min(0), f, axis, True)
    p = f.softmax(axis)
    mass = _mass(p, slope, curved, signs, axis, view.tolerance)
    found = Categorical(slope, mass, p, axis)
    return found if view.agrees(found.product([signs]), [curved]) and bool((mass >= 0).all()) else None


def _mass(p: Tensor, slope: Tensor, curved: Tensor, signs: Tensor, axis: int, tolerance: float) -> Tensor:
    """m [rows]: from a hard label's slope, m(p - e_y), which is precise at any certainty; else from the curvature."""
    y = slope.argmin(axis, keepdim=True)
    others = p.scatter(axis, y, 0)
    hard = ratio(
        slope.scatter(axis, y, 0).sum(axis, keepdim=True), others.sum(axis, keepdim=True), slope.new_zeros(())
    )
    expected = hard * others
    expected = expected.scatter(axis, y, -expected.sum(axis, keepdim=True))
    away = (slope - expected).abs().amax(axis, keepdim=True)
    is_hard = (away <= tolerance * hard.abs()) & (hard > 0)
    mean = (p * signs).sum(axis, keepdim=True)
    variance = (p * (signs - mean).square()).sum(axis, keepdim=True)
    soft = ratio((signs * curved).sum(axis, keepdim=True), variance, slope.abs().amax(axis, keepdim=True))
    return torch.where(is_hard, hard, soft.clamp_min(0))


def _sums_to_one(p: Tensor, axis: int) -> bool:
    return bool(((p.sum(axis) - 1).abs() < _PARTS).all())


LIKELIHOOD = Likelihood(("cross_entropy", "kl_div"), _read)
