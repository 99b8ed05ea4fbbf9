"""The value per sample: of the unreduced loss where there is one, else of single samples, else of the whole batch.

A property "per sample" is about one row of the predictions. A loss that couples the samples of a batch has no such
rows: there the whole batch is one point.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from losscope.checks.differences import precision_of
from losscope.checks.domains import unbounded
from losscope.checks.subject import Case, NotALoss, Raised, Subject, replaced

_SMALL = {"H": 2, "W": 2, "T": 5, "S": 2, "U": 3}
_MANY = 16
_FEW = 4
NEGLIGIBLE = 1e-8
"""Relative difference that is no fault: ``F.softplus`` is linear above 20, which drops 2e-9; norms have an ε."""
BASIS = 48
"""Curvature is looked at in at most this many directions."""


@dataclass(frozen=True, slots=True)
class Samples:
    """A loss, sample by sample. ``called`` gives the values: unreduced ("units"), of single rows, or of the batch.

    ``precision`` is the relative rounding of the loss, ``sizes`` are the lengths of axes that cases are drawn with.
    """

    subject: Subject
    called: Subject
    mode: Literal["units", "rows", "batch"]
    sizes: dict[str, int]
    precision: float = 2.2e-16
    unreduced: Subject | None = None

    def draw(self, seed: int, scale: float = 1.0) -> Case:
        """A case; with odd seeds, real predictions have elements of very different sizes."""
        case = self.subject.case(seed, max(scale, 1.0), **self.sizes)
        generator = torch.Generator().manual_seed(seed)
        changes = {}
        for i, value in enumerate(case):
            if not value.dtype.is_floating_point or not unbounded(self.subject.kind(i)):
                continue
            changes[i] = value * min(scale, 1.0)
            if i in self.subject.predictions and seed % 2:
                exponent = 2 * torch.rand(value.shape, generator=generator, dtype=torch.float64) - 1
                changes[i] = changes[i] * 10**exponent
        return replaced(case, changes)

    def draws(self, scales: Sequence[float], seeds: int) -> Iterator[Case]:
        for seed in range(seeds):
            for scale in scales:
                yield self.draw(seed, scale)

    def count(self, case: Sequence[Tensor]) -> int:
        """How many points a case holds: its samples, or one where they are coupled."""
        return 1 if self.mode == "batch" else self.subject.count(case)

    def units(self, case: Sequence[Tensor]) -> Tensor:
        """[n, k]: the k unreduced losses of every sample."""
        if self.mode == "units":
            return self.called(*case).reshape(self.count(case), -1)
        if self.mode == "batch":
            return self.called.value(case).reshape(1, 1)
        rows = [self.called.value(self.one(case, i)) for i in range(self.count(case))]
        return torch.stack(rows).reshape(-1, 1)

    def each(self, case: Sequence[Tensor]) -> Tensor:
        """[n]: the loss of every sample, the sum of its unreduced losses."""
        return self.units(case).sum(1)

    def one(self, case: Sequence[Tensor], index: int) -> Case:
        """The sample ``index`` alone; the case itself where samples are coupled."""
        return tuple(case) if self.mode == "batch" else self.subject.rows(case, torch.tensor([index]))

    def flat(self, case: Sequence[Tensor]) -> Tensor:
        """[n, p]: the predictions of every sample as one vector."""
        n = self.count(case)
        pieces = []
        for i in self.subject.predictions:
            axis = self.subject.axis(i) or 0
            pieces.append((case[i] if self.mode == "batch" else case[i].movedim(axis, 0)).reshape(n, -1))
        return torch.cat(pieces, 1).detach()

    def place(self, case: Sequence[Tensor], flat: Tensor) -> Case:
        """The case with these predictions, differentiable."""
        changes, start = {}, 0
        for i in self.subject.predictions:
            shape = case[i].shape
            axis = 0 if self.mode == "batch" else self.subject.axis(i) or 0
            stop = start + case[i].numel() // flat.shape[0]
            moved = (shape[axis], *shape[:axis], *shape[axis + 1 :]) if shape else shape
            piece = flat[:, start:stop].reshape(moved)
            changes[i], start = (piece.movedim(0, axis) if shape else piece), stop
        return replaced(case, changes)

    def through_origin(self, case: Sequence[Tensor], seed: int) -> Tensor | None:
        """The way from a case to its opposite, through 0, as :meth:`flat`; of one sample, where samples are coupled.

        A loss of directions jumps there. ``None`` where 0 is not in the domain.
        """
        positions = self.subject.predictions
        if not positions or not all(unbounded(self.subject.kind(i)) for i in positions):
            return None
        if self.mode != "batch":
            return -2 * self.flat(case)
        position = positions[seed % len(positions)]
        axis = self.subject.axis(position) or 0
        if case[position].dim() == 0:
            return -2 * self.flat(case)
        row = torch.zeros(case[position].shape[axis], dtype=torch.bool)
        row[seed % len(row)] = True
        shape = [-1 if k == axis else 1 for k in range(case[position].dim())]
        moved = torch.where(row.reshape(shape), case[position], 0.0)
        nothing = {i: torch.zeros_like(case[i]) for i in positions}
        return -2 * self.flat(replaced(case, {**nothing, position: moved}))

    def values_at(self, case: Sequence[Tensor], flat: Tensor) -> Tensor:
        """[n] at other predictions, without a graph."""
        with torch.no_grad():
            return self.each(self.place(case, flat)).to(torch.float64)

    def gradient(self, case: Sequence[Tensor]) -> Tensor | None:
        """[n, p], or ``None`` where no gradient arrives."""
        leaf = self.flat(case).requires_grad_()
        return _derivative(self.each(self.place(case, leaf)).sum(), leaf)

    def gradient_norms(self, case: Sequence[Tensor]) -> Tensor | None:
        """[n, k]: 2-norm of the gradient of every unreduced loss, by all predictions where samples are coupled."""
        leaf = self.flat(case).requires_grad_()
        placed = self.place(case, leaf)
        units = self.units(placed)
        if self.mode == "batch" and self.unreduced is not None:
            units = self.unreduced(*placed).reshape(1, -1)
        norms = []
        for k in range(units.shape[1]):
            slope = _derivative(units[:, k].sum(), leaf, keep=True)
            if slope is None:
                return None
            norms.append(slope.norm(dim=1))
        return torch.stack(norms, 1)

    def hessians(self, case: Sequence[Tensor]) -> tuple[Tensor, Tensor] | None:
        """Basis [p, b] and VᵀHV [n, b, b] of every sample; the basis is complete up to ``BASIS`` dimensions.

        ``None`` where the loss has no second derivative that autograd could give.
        """
        leaf = self.flat(case).requires_grad_()
        first = _derivative(self.each(self.place(case, leaf)).sum(), leaf, graph=True)
        p = leaf.shape[1]
        basis = _basis(p)
        if first is None or not first.requires_grad:
            zeros = torch.zeros(leaf.shape[0], basis.shape[1], basis.shape[1], dtype=torch.float64)
            return None if first is None else (basis, zeros)
        columns = []
        for direction in basis.T:
            try:
                (column,) = torch.autograd.grad(
                    (first @ direction.to(first.dtype)).sum(), leaf, retain_graph=True, allow_unused=True
                )
            except RuntimeError:  # "the derivative … is not implemented", an in-place change, …
                return None
            columns.append(torch.zeros_like(leaf) if column is None else column)
        projected = torch.stack([column.to(torch.float64) @ basis for column in columns], 1)
        return basis, (projected + projected.mT) / 2

    def rounding(self, flat: Tensor, values: Tensor) -> Tensor:
        """[n]: by how much values may be off: 64 units in the last place of the largest number in sight, and the
        approximations that libraries make (``NEGLIGIBLE``)."""
        size = 64 * self.precision * (1 + flat.abs().amax(1) + values.abs())
        return size.maximum(NEGLIGIBLE * (1 + values.abs()))


def _derivative(value: Tensor, leaf: Tensor, *, graph: bool = False, keep: bool = False) -> Tensor | None:
    if not value.requires_grad:
        return None
    try:
        found = torch.autograd.grad(
            value, leaf, create_graph=graph, retain_graph=graph or keep, allow_unused=True
        )
    except Exception as error:
        raise Raised(error) from error
    return found[0]


def _basis(p: int) -> Tensor:
    if p <= BASIS:
        return torch.eye(p, dtype=torch.float64)
    generator = torch.Generator().manual_seed(11)
    return torch.linalg.qr(torch.randn(p, BASIS, generator=generator, dtype=torch.float64)).Q


def samples_of(subject: Subject) -> Samples:
    """How the value per sample of this loss is had; found out by comparing a batch with its rows."""
    try:
        found = _with_sizes(subject, _small(subject))
        case = found.draw(0)
        found.each(case)
    except (Raised, NotALoss):
        found = _with_sizes(subject, {})
        case = found.draw(0)
    flat = found.flat(case)

    def total(x: Tensor) -> Tensor:
        return found.each(found.place(case, x)).sum()

    with torch.no_grad():
        precision = precision_of(total, flat)
    return replace(found, precision=precision)


def _small(subject: Subject) -> dict[str, int]:
    fixed = subject.spec.sizes if subject.spec is not None else {}
    used = {a for argument in subject.arguments for a in (argument.axes or argument.of.axes).split()}
    return {
        axis: min(size, subject.sizes.get(axis, size))
        for axis, size in _SMALL.items()
        if axis in used and axis not in fixed
    }


def _with_sizes(subject: Subject, sizes: dict[str, int]) -> Samples:
    unreduced = subject.with_options(reduction="none")
    batch = Samples(subject, subject, "batch", sizes, unreduced=unreduced)
    rowless = any(subject.axis(i) is None for i in subject.predictions)
    if rowless or (subject.spec is not None and subject.spec.batch_coupled):
        return batch
    if unreduced is not None:
        units = Samples(subject, unreduced, "units", {**sizes, "N": _MANY}, unreduced=unreduced)
        if _separable(units):
            return units
    rows = Samples(subject, subject, "rows", {**sizes, "N": _FEW}, unreduced=unreduced)
    return rows if _separable(rows) else batch


def _separable(samples: Samples) -> bool:
    """Whether every sample has the same loss alone and in a batch, for two batches."""
    try:
        return all(
            _same_alone(samples, samples.subject.case(seed, **{**samples.sizes, "N": 3})) for seed in (0, 1)
        )
    except (Raised, NotALoss, RuntimeError):
        return False


def _same_alone(samples: Samples, case: Case) -> bool:
    with torch.no_grad():
        values = samples.called(*case)
        if samples.mode == "units":
            if values.dim() == 0 or values.shape[0] != samples.count(case):
                return False
            together = samples.each(case)
            alone = torch.stack([samples.each(samples.one(case, i)).sum() for i in range(len(together))])
        else:
            each = samples.each(case)
            together = samples.called.value(case).reshape(1)
            mean, total = each.mean().reshape(1), each.sum().reshape(1)
            alone = mean if torch.isclose(mean, together, rtol=1e-5, atol=1e-6).all() else total
    close = 1e-9 if together.dtype == torch.float64 else 1e-4
    return torch.allclose(together, alone, rtol=close, atol=close, equal_nan=True)
