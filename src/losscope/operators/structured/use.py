"""What one node of an autograd graph does with a parameter: multiply inputs by it, or broadcast it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge


@dataclass(frozen=True, slots=True)
class Layout:
    """How a parameter is a matrix [groups, outputs, inputs]; ``flipped``: it holds [groups, inputs, outputs]."""

    groups: int
    outputs: int
    inputs: int
    flipped: bool = False


@dataclass(eq=False)
class Product:
    """A weight times inputs: the gradient is Σ_rows gradients ⊗ inputs, [groups, outputs, inputs].

    Rows are places of samples, ``parts`` times ``places`` of them; ``first`` is the length of the leading axis of the
    node's tensors where that is known.
    ``hot``: the inputs are integers [rows] that stand for one-hot rows.
    """

    edge: GradientEdge
    weight: int
    bias: int | None
    layout: Layout
    inputs: Callable[[], Tensor]  # [groups, parts, places, inputs], or [rows] integers of a one-hot input
    gradients: Callable[[Tensor], Tensor]  # of the node's output gradient, [groups, parts, places, outputs]
    first: int | None = None
    hot: bool = False
    ordinal: int = 0  # among the uses of the same parameters

    @property
    def positions(self) -> tuple[int, ...]:
        """Of its parameters."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)


@dataclass(eq=False)
class Vector:
    """A parameter that is added, or multiplied element by element: the gradient is a sum of ``values`` over places.

    ``shape`` is the parameter's, as it is broadcast against the node's output. Where a part or a view of it is
    broadcast (the embedding of positions, say), ``source`` is the node that makes this, whose shape it is then.
    """

    edge: GradientEdge
    position: int
    shape: tuple[int, ...]
    values: Callable[[Tensor], Tensor]
    first: int | None = None
    ordinal: int = 0
    source: tuple[GradientEdge, Tensor] | None = None

    def pulled(self, rows: Tensor) -> Tensor:
        """Gradients [n, size of the parameter] from those by what is broadcast, [n, size of that]."""
        if self.source is None:
            return rows
        edge, parameter = self.source
        made = [
            torch.autograd.grad(
                [edge],  # type: ignore[list-item]  edges are allowed
                [parameter],
                [row.reshape(self.shape)],
                retain_graph=True,
                create_graph=rows.requires_grad,
            )[0].reshape(-1)
            for row in rows
        ]
        return torch.stack(made)

    @property
    def positions(self) -> tuple[int, ...]:
        """Of its parameter."""
        return (self.position,)


Use = Product | Vector
