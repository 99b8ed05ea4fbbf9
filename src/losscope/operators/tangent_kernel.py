"""Scalar products of the gradients of a network's predictions, J Jᵀ, layer by layer.

The gradient by a layer's weights is Σ_t g_t a_tᵀ over the places t of a sample. Where places are few, scalar products
come from those of outputs and inputs, (A Aᵀ) ∘ (G Gᵀ), and the gradients are never made (Novak, Sohl-Dickstein and
Schoenholz, 2022, arXiv:2206.08720, "structured derivatives"). Where they are many, as in convolutions, making the
gradients is cheaper; the inputs' patches are made once for all outputs, and half of a symmetric product is computed.

Cost: a backward pass to the layers' outputs for each weighting, and P M² / 2 multiplications at most for M rows.
Memory: ``memory`` bytes of gradients at a time; where they do not fit, parameters are taken in groups, each with
backward passes of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from losscope.operators.factors import Outer
from losscope.operators.layers import Layer, Layers
from losscope.operators.structured.use import Layout, Product

_MEMORY = 1 << 30
_BLOCK = 256  # rows of a symmetric product that are made at once

Columns = Sequence[Sequence[Tensor]]
"""``columns[c][b]`` [n_b, …] are weights over the predictions of batch b."""


def tangent_kernel(
    parts: Sequence[Layers],
    columns: Columns,
    others: Sequence[Layers] | None = None,
    other_columns: Columns | None = None,
    *,
    shared: bool = False,
    memory: int = _MEMORY,
) -> Tensor:
    """Scalar products of J_iᵀ w_ic for all samples i of several batches, [C·n, C·n]; with ``others``, [C·n, D·m].

    Rows are ordered by c, then by batch, then by sample. ``shared``: only those of equal c, summed over c: [n, m].
    The predictions of each batch are one tensor.
    """
    one = _Side(parts, columns)
    other = one if others is None or other_columns is None else _Side(others, other_columns)
    shape = (one.samples, other.samples) if shared else (one.rows, other.rows)
    total = parts[0].batch.predictions[0].new_zeros(shape)
    for group in _groups(one, other, memory):
        first = _Filled(one, group)
        second = first if other is one else _Filled(other, group)
        if group.columns:
            rows = first.by_rows(shared)
            _add_products_(total, rows, rows if second is first else second.by_rows(shared))
        rest = second.thin
        for position, factors in first.thin.items():
            if position in rest:
                _add_thin_(total, factors, rest[position], shared)
    if other is one:  # only blocks up to the diagonal were added
        total.tril_()
        total += total.tril(-1).T
    return total


class _Side:
    """Batches and weights whose gradients are the rows, or the columns, of the kernel."""

    def __init__(self, parts: Sequence[Layers], columns: Columns) -> None:
        self.parts, self.columns = parts, columns
        self.samples = sum(part.samples for part in parts)
        self.rows = len(columns) * self.samples


@dataclass(eq=False)
class _Group:
    """Positions of parameters whose gradients are made together, and those that are multiplied by their factors."""

    dense: dict[int, int] = field(default_factory=dict)  # to the first column
    thin: dict[int, int | None] = field(default_factory=dict)  # to the bias, which is a weight of the input 1
    columns: int = 0

    @property
    def positions(self) -> set[int]:
        return self.thin.keys() | self.dense.keys()


def _groups(one: _Side, other: _Side, memory: int) -> Iterator[_Group]:
    """A partition of the parameters so that the gradients of each part fit into memory."""
    parameters = one.parts[0].parameters
    most = memory // ((one.rows + (other.rows if other is not one else 0)) * parameters[0].element_size())
    thin = {p: _bias(one, other, p) for p in range(len(parameters)) if _is_thin(one, other, p, memory)}
    group, biases = _Group(), set(thin.values())
    for position, parameter in enumerate(parameters):
        if position in biases:
            continue
        if position in thin:
            group.thin[position] = thin[position]
            continue
        if group.columns and group.columns + parameter.numel() > most:
            yield group
            group = _Group()
        group.dense[position] = group.columns
        group.columns += parameter.numel()
    yield group


def _is_thin(one: _Side, other: _Side, position: int, memory: int) -> bool:
    """Whether a parameter is the weight of one product, whose factors are cheaper to multiply than its gradients."""
    n, m = one.samples, other.samples
    places, layout = [], None
    for side in (one, other):
        found = {_places(part, position) for part in side.parts}
        if len(found) != 1 or None in found:
            return False
        ((t, layout),) = found  # type: ignore[misc]
        places.append(t)
    (t, s), p, q = places, layout.outputs, layout.inputs
    pairs = len(one.columns) * len(other.columns)
    by_factors = n * m * t * s * (pairs * p + q)
    by_gradients = (one.rows * t + other.rows * s + one.rows * other.rows) * p * q
    size = one.parts[0].parameters[position].element_size()
    return by_factors <= by_gradients and n * m * t * s * size <= memory


def _bias(one: _Side, other: _Side, weight: int) -> int | None:
    """The bias of a thin weight's product, unless it is used elsewhere as well."""
    found: set[int | None] = set()
    for part in (*one.parts, *other.parts):
        ((_, use),) = part.uses_of[weight]
        bias = use.bias if isinstance(use, Product) else None
        found.add(bias if bias is not None and len(part.uses_of[bias]) == 1 else None)
    return found.pop() if len(found) == 1 else None


def _places(part: Layers, position: int) -> tuple[int, Layout] | None:
    """Places per sample of the only product that the parameter is the weight of; ``None``: it is no such weight."""
    found = part.uses_of.get(position, [])
    if len(found) != 1:
        return None
    ((layer, use),) = found
    if not isinstance(use, Product) or use.weight != position or use.hot or use.layout.groups > 1:
        return None
    if (
        use.first is not None and use.layout.flipped
    ):  # a transposed convolution: places are those of its inputs
        return None
    return layer.shape.numel() // (part.samples * use.layout.outputs), use.layout


class _Filled:
    """The gradients of a group of parameters: ``rows`` [C, n, columns], and of thin ones the factors.

    ``thin[position]``: the outputs' gradients [C, n, t, p], and the inputs [n, t, q], which all c share; with one more
    that is 1 for a bias.
    """

    def __init__(self, side: _Side, group: _Group) -> None:
        like = side.parts[0].batch.predictions[0]
        self.rows = like.new_zeros(len(side.columns), side.samples, group.columns)
        self._lefts: dict[int, list[list[Tensor]]] = {p: [[] for _ in side.columns] for p in group.thin}
        self._rights: dict[int, list[Tensor]] = {p: [] for p in group.thin}
        self._thin = group.thin
        start = 0
        for index, part in enumerate(side.parts):
            wanted = [layer for layer in part.layers if layer.positions & group.positions]
            given = [layer.inputs() for layer in wanted]
            edges = [layer.edge for layer in wanted]
            for c, weights in enumerate(side.columns):
                for layer, inputs, g in zip(
                    wanted, given, part.output_gradients([weights[index]], edges), strict=True
                ):
                    if g is not None:
                        self._take(layer, inputs, g, group, c, slice(start, start + part.samples))
            start += part.samples

    def _take(
        self, layer: Layer, inputs: list[Tensor | None], g: Tensor, group: _Group, c: int, rows: slice
    ) -> None:
        for position, factors in layer.factors(inputs, g, group.positions):
            if position in group.thin and isinstance(factors, Outer):
                self._lefts[position][c].append(factors.left[0])
                if c == 0:
                    self._rights[position].append(factors.right[0])
            elif position in group.dense:
                at = group.dense[position]
                made = factors.dense()
                self.rows[c, rows, at : at + made.shape[1]] += made

    @cached_property
    def thin(self) -> dict[int, tuple[Tensor, Tensor]]:
        """By position; empty where no gradient arrived."""
        found = {}
        for position, rights in self._rights.items():
            if rights:
                right = torch.cat(rights)
                if self._thin[position] is not None:
                    right = torch.cat([right, torch.ones_like(right[..., :1])], -1)
                found[position] = torch.stack([torch.cat(left) for left in self._lefts[position]]), right
        return found

    def by_rows(self, shared: bool) -> Tensor:
        """[C·n, columns], or with c among the columns [n, C·columns]."""
        return self.rows.transpose(0, 1).flatten(1) if shared else self.rows.flatten(0, 1)


def _add_products_(total: Tensor, one: Tensor, other: Tensor) -> None:
    """Add one @ otherᵀ; of a symmetric product the blocks up to the diagonal."""
    if one is not other:
        total.addmm_(one, other.T)
        return
    for start in range(0, len(one), _BLOCK):
        stop = min(start + _BLOCK, len(one))
        total[start:stop, :stop].addmm_(one[start:stop], one[:stop].T)


def _add_thin_(total: Tensor, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], shared: bool) -> None:
    """Add Σ_ts (g_t · g_s)(a_t · a_s) for every pair of samples and weightings; of equal sides up to the diagonal."""
    (lefts, right), (other_lefts, other_right) = one, other
    (count, n, t, p), (m, s, _) = lefts.shape, other_right.shape
    inputs = right.flatten(0, 1) @ other_right.flatten(0, 1).T
    if shared:
        stacked, others = (x.permute(1, 2, 0, 3).reshape(-1, count * p) for x in (lefts, other_lefts))
        total += _over_places((stacked @ others.T).mul_(inputs)[:, None], n, t, m, s)[:, 0]
        return
    rows, columns = lefts.reshape(count, n * t, p), other_lefts.reshape(-1, p)
    for c, left in enumerate(rows):
        most = c + 1 if lefts is other_lefts else len(other_lefts)
        made = (left @ columns[: most * m * s].T).view(n * t, most, m * s)
        block = total[c * n : (c + 1) * n, : most * m].view(n, most, m)
        if t == s == 1:
            block.addcmul_(made, inputs[:, None])
        else:
            block += _over_places(made.mul_(inputs[:, None]), n, t, m, s)


def _over_places(products: Tensor, n: int, t: int, m: int, s: int) -> Tensor:
    """[n·t, k, m·s] as [n, k, m]."""
    return products if t == s == 1 else products.view(n, t, -1, m, s).sum((1, 4))
