"""A network layer by layer: inputs a and output gradients g of each, from which per-sample gradients follow.

The gradient of a sample's loss by the weights of a linear layer is Σ_t g_t a_tᵀ over its places t (tokens, pixels). So
squared norms and scalar products of per-sample gradients need a and g alone, never the gradients themselves
(:mod:`losscope.operators.factors`). A layer is what the autograd graph shows to use a parameter
(:mod:`losscope.operators.structured.uses`), whatever module it belongs to.

That holds where samples do not meet (batch normalisation in training mode mixes them), and where it is known which row
is whose. Both are asked of every row (:mod:`losscope.operators.structured.samples`); what is read off the graph is
checked on two samples against a plain backward pass, for each parameter. Where a check fails, or a parameter is used in
another way, this is said and not used.
"""

from collections.abc import Container, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from losscope.core.errors import NotReadable
from losscope.objective.objective import Objective
from losscope.operators.factors import Factors, HotOuter, Outer, Sums
from losscope.operators.linearisation import Linearisation, linearise_one
from losscope.operators.structured.samples import Samples, axes_of
from losscope.operators.structured.use import Product, Use
from losscope.operators.structured.uses import uses
from losscope.operators.trial import believe


class Layer:
    """One node of the graph with what it uses of the parameters. ``shape`` is that of its output."""

    def __init__(self, edge: GradientEdge, samples: Samples) -> None:
        self.edge, self._samples = edge, samples
        self.uses: list[Use] = []
        self.shape = torch.Size()

    @property
    def positions(self) -> set[int]:
        """Of its parameters."""
        return {position for use in self.uses for position in use.positions}

    def inputs(self) -> list[Tensor | None]:
        """What the factors take from its inputs, whatever the output's gradient is: patches of a convolution, say."""
        return [self._rows(use, use.inputs()) if isinstance(use, Product) else None for use in self.uses]

    def by_sample(self, values: Tensor) -> Tensor:
        """The sum of numbers in the shape of its output for each sample, [n]; places may come before samples."""
        return self._samples.sums(self.uses[0], values)

    def factors(
        self, inputs: Sequence[Tensor | None], g: Tensor, wanted: Container[int] | None = None
    ) -> Iterator[tuple[int, Factors]]:
        """For each of its parameters, by position, the factors of its per-sample gradients; ``None``: of all."""
        for use, a in zip(self.uses, inputs, strict=True):
            if not isinstance(use, Product):
                if wanted is None or use.position in wanted:
                    yield use.position, Sums(self._samples.vectors(use, g))
                continue
            assert a is not None
            left = self._rows(use, use.gradients(g))
            if use.bias is not None and (wanted is None or use.bias in wanted):
                yield use.bias, Sums(left.sum(2).transpose(0, 1).flatten(1))
            if wanted is not None and use.weight not in wanted:
                continue
            if use.hot:
                yield use.weight, HotOuter(left, a, use.layout)
                continue
            wide = torch.promote_types(a.dtype, left.dtype)  # they differ under autocast
            yield use.weight, Outer(left.to(wide), a.to(wide), use.layout.flipped)

    def _rows(self, use: Product, value: Tensor) -> Tensor:
        found = self._samples.rows(use, value)
        if found is None:
            raise NotReadable("rows of a layer are not places of samples", seen=f"{value.shape[-2]} rows")
        return found


class Layers:
    """One batch of an objective by its layers. Raises ``NotReadable``, with the reason."""

    def __init__(self, objective: Objective, index: int, chosen: dict[int, list[int]] | None = None) -> None:
        self.parameters = objective.parameters
        self.batch: Linearisation = linearise_one(objective, index, chosen)
        believe(objective, self.batch)
        if self.batch.samples is None:
            raise NotReadable("the predictions have no axis of samples in common", seen="their shapes")
        self.samples = self.batch.samples
        found, unread = uses(self.batch.predictions, self.parameters)
        if unread:
            raise NotReadable(
                "a parameter is used in a way that layers do not show", seen=objective.names[min(unread)]
            )
        self._places = Samples(self.batch, axes_of(objective))
        self.layers = self._layers(found)
        self._check(objective.names, found)

    def _layers(self, found: Sequence[Use]) -> list[Layer]:
        """One for each node of the graph."""
        made: dict[tuple[object, int], Layer] = {}
        for use in found:
            key = use.edge.node, use.edge.output_nr
            made.setdefault(key, Layer(use.edge, self._places)).uses.append(use)
        return list(made.values())

    @property
    def edges(self) -> list[GradientEdge]:
        """Where the layers' outputs are in the graph."""
        return [layer.edge for layer in self.layers]

    @cached_property
    def uses_of(self) -> dict[int, list[tuple[Layer, Use]]]:
        """Where each parameter is used, by its position."""
        found: dict[int, list[tuple[Layer, Use]]] = {}
        for layer in self.layers:
            for use in layer.uses:
                for position in use.positions:
                    found.setdefault(position, []).append((layer, use))
        return found

    def output_gradients(
        self, weights: Sequence[Tensor], edges: Sequence[GradientEdge] | None = None
    ) -> list[Tensor | None]:
        """The gradients of Σ w f by the outputs of layers, all unless ``edges`` are given."""
        edges = self.edges if edges is None else edges
        if not edges:
            return []
        found = torch.autograd.grad(
            self.batch.predictions, edges, list(weights), retain_graph=True, allow_unused=True
        )
        return [None if g is None else g.detach() for g in found]

    def factors(self, weights: Sequence[Tensor]) -> dict[int, list[Factors]]:
        """For each parameter (by position) the factors of the gradients of Σ_j w_ij f_ij of every sample i."""
        return self._factors(self.output_gradients(weights))

    def _factors(self, gradients: Sequence[Tensor | None]) -> dict[int, list[Factors]]:
        result: dict[int, list[Factors]] = {}
        for layer, g in zip(self.layers, gradients, strict=True):
            if g is not None:
                for position, factors in layer.factors(layer.inputs(), g):
                    result.setdefault(position, []).append(factors)
        return result

    def squares(self, weights: Sequence[Tensor]) -> Tensor:
        """‖J_iᵀ w_i‖² of every sample, [n]."""
        total = self.batch.predictions[0].new_zeros(self.samples)
        for found in self.factors(weights).values():
            total = total + (found[0].squares() if len(found) == 1 else _summed(found).square().sum(1))
        return total

    def _check(self, names: Sequence[str], found: Sequence[Use]) -> None:
        """The order of every row, and two samples against a plain backward pass."""
        self._places.find(found)
        lost = [use for use in found if isinstance(use, Product) and self._places.axis(use) is None]
        if lost:
            raise NotReadable(
                "the network mixes the samples, as batch normalisation in training mode"
                if self._places.meet
                else "rows of a layer are not places of samples in an order that is known",
                seen=names[lost[0].weight],
            )
        slope = [s.detach() for s in self.batch.slope]
        two = sorted({0, self.samples - 1})
        alone = [torch.zeros_like(s) for s in slope]
        for zero, s in zip(alone, slope, strict=True):
            weights = torch.where(s == 0, 1e-3 * (1 + s.abs().max()), s)
            zero[two] = weights[two]
        wanted: list[Any] = [*self.parameters, *self.edges]
        grads = torch.autograd.grad(
            self.batch.predictions, wanted, alone, retain_graph=True, allow_unused=True
        )
        plain, outputs = grads[: len(self.parameters)], grads[len(self.parameters) :]
        for layer, g in zip(self.layers, outputs, strict=True):
            layer.shape = torch.Size() if g is None else g.shape
        off = self._off(names, plain, outputs, two)
        if off is not None:
            raise NotReadable("per-sample gradients by layers are not those of a backward pass", seen=off)

    def _off(
        self,
        names: Sequence[str],
        plain: Sequence[Tensor | None],
        outputs: Sequence[Tensor | None],
        two: Sequence[int],
    ) -> str | None:
        """The first parameter whose gradients of some samples do not add up to ``plain``."""
        try:
            found = self._factors(outputs)
        except NotReadable as reason:
            return str(reason)
        whole = sum(float(g.double().square().sum()) for g in plain if g is not None) ** 0.5
        eps = torch.finfo(self.batch.predictions[0].dtype).eps
        rounding = eps**0.5 * whole  # of gradients that are 0 but for it
        for position, gradient in enumerate(plain):
            own = torch.zeros((), dtype=torch.float64)
            if position in found:
                own = _summed([f.at(two) for f in found[position]]).sum(0).double()
            expected = torch.zeros_like(own) if gradient is None else gradient.to_dense().flatten().double()
            away = float((own - expected).norm())
            if away > 1e-3 * float(expected.norm()) + rounding:
                return f"{names[position]} is off by {away:.3g}"
        return None


def _summed(found: Sequence[Factors]) -> Tensor:
    total = found[0].dense()
    for factors in found[1:]:
        total = total + factors.dense()
    return total
