"""How the block of one group of parameters is summed up, batch by batch and vector by vector.

Sums are made in single precision at least, of whatever the network computes in: half precision has no eigenvalues.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from losscope.operators.structured.blocks import Block, Diagonal, Eigen, Exact, Kronecker, Weight
from losscope.operators.structured.samples import Samples
from losscope.operators.structured.squares import hot_rows, hot_second_moments, second_moments
from losscope.operators.structured.use import Product, Use, Vector

Pairs = list[tuple[Use, Tensor]]
"""Uses of the part's parameters and the gradients at their nodes."""


class Part(ABC):
    """``positions`` are those of its parameters, in the order of its block."""

    samples_needed = True
    by_sample = False
    """Wrong where rows of one sample are not told from those of others."""

    def __init__(self, positions: Sequence[int]) -> None:
        self.positions = tuple(positions)

    def begin(self, uses: Sequence[Use], samples: Samples) -> None:
        """A new batch."""
        self.samples = samples

    def takes(self, use: Use) -> bool:
        """Whether it can sum up this use of its parameters, which another batch may have in another form."""
        return set(use.positions) <= set(self.positions)

    @abstractmethod
    def add(self, pairs: Pairs) -> None:
        """What one vector over the predictions gives."""

    @abstractmethod
    def block(self) -> Block:
        """The block of all that was added."""


class KroneckerPart(Part):
    """The product of the second moments of inputs and output gradients (Martens and Grosse, 2015).

    "expand": every place is a sample of its own; "reduce": inputs are averaged over a sample's places and gradients
    summed (Eschenhagen et al., 2023). A factor of a side above ``largest`` is kept as its diagonal.
    """

    def __init__(self, use: Product, reduce: bool, largest: int) -> None:
        super().__init__(use.positions)
        self.samples_needed = reduce
        self.weight, self.hot, self._reduce, self._largest = _weight(use), use.hot, reduce, largest
        self._inputs: Tensor | None = None
        self._outputs: Tensor | None = None
        self._rows = 0

    def begin(self, uses: Sequence[Use], samples: Samples) -> None:
        super().begin(uses, samples)
        for use in uses:
            assert isinstance(use, Product)
            a = _inputs(use)
            if self.hot:
                self._add_hot(use, a)
                continue
            a = self._places(use, a, mean=True)
            moment = _second_moment(a, self._largest)
            if use.bias is not None:
                moment = _bordered(moment, a)
            self._inputs = _plus(self._inputs, moment)
            self._rows += a.shape[1] * a.shape[2]

    def _add_hot(self, use: Product, a: Tensor) -> None:
        rows = self.samples.rows(use, a) if self._reduce else None
        if rows is None:
            counts = torch.bincount(a, minlength=use.layout.inputs).to(self.samples.working)
            self._rows += len(a)
        else:  # (mean over places of a one-hot row)², of which the diagonal is kept
            hot = hot_rows(rows, use.layout.inputs, torch.empty(0, dtype=self.samples.working))[0]
            counts = hot.mean(1).square().sum(0)
            self._rows += len(rows)
        self._inputs = _plus(self._inputs, counts[None])

    def add(self, pairs: Pairs) -> None:
        for use, g in pairs:
            assert isinstance(use, Product)
            moment = _second_moment(self._places(use, _gradients(use, g), mean=False), self._largest)
            self._outputs = _plus(self._outputs, moment)

    def _places(self, use: Product, value: Tensor, mean: bool) -> Tensor:
        rows = self.samples.rows(use, value) if self._reduce else None
        if rows is None:
            return value
        return rows.mean(2, keepdim=True) if mean else rows.sum(2, keepdim=True)

    def takes(self, use: Use) -> bool:
        return isinstance(use, Product) and use.positions == self.positions

    def block(self) -> Block:
        layout = self.weight.layout
        if self._outputs is None or self._inputs is None:
            return Diagonal(torch.zeros(self.weight.size, dtype=self.samples.working), "not reached")
        what = "Kronecker" + (f", {layout.groups} groups" if layout.groups > 1 else "")
        short = [n for n, f in (("outputs", self._outputs), ("inputs", self._inputs)) if f.dim() == 2]
        what += f", diagonal over {' and '.join(short)}" if short else ""
        return Kronecker(self._outputs, self._inputs / self._rows, self.weight, what)


class EigenPart(Part):
    """The second moments of per-sample gradients in the eigenvectors of Kronecker factors (George et al., 2018)."""

    def __init__(self, start: Eigen, uses: Sequence[Use]) -> None:
        first = uses[0]
        assert isinstance(first, Product)
        super().__init__(first.positions)
        self._start, self._hot = start, first.hot
        self._values: Tensor | float = 0.0
        self._inputs: dict[int, Tensor] = {}
        self._meet = False

    def begin(self, uses: Sequence[Use], samples: Samples) -> None:
        super().begin(uses, samples)
        self._inputs = {id(use): _inputs(use) for use in uses if isinstance(use, Product)}
        self._meet = self._meet or any(samples.axis(use) is None for use in uses)

    def add(self, pairs: Pairs) -> None:
        gradients, inputs = [], []
        for use, g in pairs:
            assert isinstance(use, Product)
            gradients.append(_by_sample(self.samples, use, _gradients(use, g)))
            a = _by_sample(self.samples, use, self._inputs[id(use)])
            inputs.append(a if self._hot else _with_one(a, use.bias is not None))
        if not gradients:
            return
        g, a = torch.cat(gradients, 2), torch.cat(inputs, 1 if self._hot else 2)
        if self._hot:
            number = self._start.weight.layout.inputs
            self._values += hot_second_moments(g, a, number, self._start.outputs)
        else:
            self._values += second_moments(g, a, self._start.outputs, self._start.inputs)

    def takes(self, use: Use) -> bool:
        return isinstance(use, Product) and use.positions == self.positions

    def block(self) -> Block:
        start = self._start
        values = torch.zeros_like(start.values) + self._values
        what = start.what.replace("Kronecker", "eigenbasis") + (
            ", samples not told apart" if self._meet else ""
        )
        return Eigen(start.outputs, start.inputs, values, start.weight, what)


class ExactPart(Part):
    """The second moment of per-sample gradients of parameters that are added or multiplied, in full."""

    by_sample = True

    def __init__(self, positions: Sequence[int], size: int) -> None:
        super().__init__(positions)
        self._size, self._total = size, None

    _total: Tensor | None

    def add(self, pairs: Pairs) -> None:
        rows = torch.cat([_of_vectors(self.samples, pairs, position) for position in self.positions], 1)
        self._total = _plus(self._total, rows.T @ rows)

    def takes(self, use: Use) -> bool:
        return isinstance(use, Vector)

    def block(self) -> Block:
        if self._total is None:
            return Diagonal(torch.zeros(self._size, dtype=self.samples.working), "not reached")
        return Exact(self._total)


class DiagonalPart(Part):
    """The second moments of per-sample gradients, entry by entry; all uses of a parameter are summed first."""

    by_sample = True

    def __init__(self, positions: Sequence[int], sizes: Sequence[int]) -> None:
        super().__init__(positions)
        self._sizes = list(sizes)
        self._totals: dict[int, Tensor] = {}
        self._inputs: dict[int, Tensor] = {}

    def begin(self, uses: Sequence[Use], samples: Samples) -> None:
        super().begin(uses, samples)
        self._inputs = {id(use): _inputs(use) for use in uses if isinstance(use, Product)}

    def add(self, pairs: Pairs) -> None:
        products = [(use, g) for use, g in pairs if isinstance(use, Product)]
        if len(products) == len(pairs) == 1:
            self._add_one(*products[0])
            return
        for position in self.positions:
            rows: Tensor | None = None
            for use, g in products:
                if position in use.positions:
                    rows = _plus(rows, self._dense(use, g, position))
            vectors = [(use, g) for use, g in pairs if isinstance(use, Vector) and use.position == position]
            if vectors:
                rows = _plus(rows, _of_vectors(self.samples, vectors, position))
            if rows is not None:
                self._sum(position, rows.square().sum(0))

    def _add_one(self, use: Product, g: Tensor) -> None:
        rows = _by_sample(self.samples, use, _gradients(use, g))
        a = _by_sample(self.samples, use, self._inputs[id(use)])
        if use.hot:
            found = hot_second_moments(rows, a, use.layout.inputs)
        else:
            found = second_moments(rows, _with_one(a, use.bias is not None))
        weight = _weight(use)
        flat = weight.columns(found[None])[:, 0]
        sizes = [self._sizes[self.positions.index(p)] for p in use.positions]
        for position, piece in zip(use.positions, flat.split(sizes), strict=True):
            self._sum(position, piece)

    def _dense(self, use: Product, g: Tensor, position: int) -> Tensor:
        """The gradients of all samples, [samples, size]."""
        rows = _by_sample(self.samples, use, _gradients(use, g))
        if position == use.bias:
            return rows.sum(2).transpose(0, 1).flatten(1)
        a = _by_sample(self.samples, use, self._inputs[id(use)])
        a = hot_rows(a, use.layout.inputs, rows) if use.hot else a
        found = (rows.mT @ a).transpose(0, 1)
        return (found.mT if use.layout.flipped else found).flatten(1)

    def _sum(self, position: int, entries: Tensor) -> None:
        self._totals[position] = self._totals[position] + entries if position in self._totals else entries

    def block(self) -> Block:
        zero = [torch.zeros(size, dtype=self.samples.working) for size in self._sizes]
        found = [
            self._totals.get(p, z.to(self.samples.device)) for p, z in zip(self.positions, zero, strict=True)
        ]
        return Diagonal(torch.cat(found))


class SignedPart(Part):
    """(Σ_rows ± gradient)², entry by entry: unbiased, whatever the network does with the parameter."""

    samples_needed = False

    def __init__(self, position: int) -> None:
        super().__init__((position,))
        self.total: Tensor | None = None

    def add(self, pairs: Pairs) -> None:
        """Nothing: it has no uses."""

    def add_gradient(self, g: Tensor) -> None:
        """The gradient by the parameter, of one vector over the predictions."""
        self.total = _plus(self.total, _wide(g).reshape(-1).square())

    def block(self) -> Block:
        assert self.total is not None
        return Diagonal(self.total, "diagonal, estimated")


def _wide(values: Tensor) -> Tensor:
    """In single precision at least; integers as they are."""
    return (
        values.to(torch.promote_types(values.dtype, torch.float32)) if values.is_floating_point() else values
    )


def _inputs(use: Product) -> Tensor:
    return _wide(use.inputs())


def _gradients(use: Product, g: Tensor) -> Tensor:
    return _wide(use.gradients(g))


def _plus(total: Tensor | None, more: Tensor) -> Tensor:
    return more if total is None else total + more


def _weight(use: Product) -> Weight:
    return Weight(use.layout, use.bias is not None)


def _second_moment(rows: Tensor, largest: int) -> Tensor:
    """Σ_rows r rᵀ [groups, d, d] of [groups, parts, places, d], or its diagonal [groups, d]."""
    if rows.shape[3] > largest:
        return rows.square().sum((1, 2))
    if rows.shape[1] == 1:
        return rows[:, 0].mT @ rows[:, 0]
    if rows.shape[0] > 1 or rows.stride(3) == 1 or rows.shape[2] == 1:
        flat = rows.flatten(1, 2)
        return flat.mT @ flat
    zero = rows.new_zeros(rows.shape[3], rows.shape[3])
    return torch.addbmm(zero, rows[0].mT, rows[0], beta=0)[None]  # as images lie in memory, without a copy


def _bordered(moment: Tensor, rows: Tensor) -> Tensor:
    """The second moment of rows with an input that is always 1."""
    count = rows.shape[1] * rows.shape[2]
    if moment.dim() == 2:
        return torch.cat([moment, torch.full_like(moment[:, :1], count)], 1)
    sums = rows.sum((1, 2))[:, :, None]
    corner = torch.full_like(sums[:, :1], count)
    return torch.cat([torch.cat([moment, sums], 2), torch.cat([sums.mT, corner], 2)], 1)


def _with_one(a: Tensor, wanted: bool) -> Tensor:
    return torch.cat([a, torch.ones_like(a[..., :1])], -1) if wanted else a


def _by_sample(samples: Samples, use: Product, value: Tensor) -> Tensor:
    """[groups, samples, places, d] of [groups, parts, places, d]; every row one sample where none is found."""
    rows = samples.rows(use, value)
    if rows is None:
        return value[:, None] if value.dim() == 1 else value.flatten(1, 2)[:, :, None]
    return rows


def _of_vectors(samples: Samples, pairs: Sequence[tuple[Use, Tensor]], position: int) -> Tensor:
    found = [
        _wide(samples.vectors(use, g))
        for use, g in pairs
        if isinstance(use, Vector) and use.position == position
    ]
    return torch.stack(found).sum(0)
