"""What a network does with each of its parameters, read off the autograd graph.

Hooks on modules miss what modules do not call: the projections of ``nn.MultiheadAttention``, a weight that is handed to
``F.linear``, Hugging Face's ``Conv1D``, a parameter that is added or multiplied. In the graph each of these is a node
with the parameter at one of its inputs, with the other input saved; the gradient that flows into the node is asked for
as a ``GradientEdge``, so that no gradient of a weight is ever computed.

A parameter counts as read only if every edge of the graph that leads to it belongs to a node of a known kind.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.graph import GradientEdge

_FLIPS = ("TBackward0", "TransposeBackward0", "PermuteBackward0")
_PARTS = (
    *_FLIPS,
    *(
        f"{name}Backward0"
        for name in ("Embedding", "Slice", "Select", "Unsqueeze", "Squeeze", "View", "Index")
    ),
    *("UnsafeViewBackward0", "ReshapeAliasBackward0", "IndexSelectBackward0", "SqueezeBackward1"),
    *("ToCopyBackward0", "CloneBackward0", "AliasBackward0"),
)
_SAME = ("ToCopyBackward0", "CloneBackward0", "AliasBackward0")
_Node = Any  # torch.autograd.graph.Node, whose saved values are not typed


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


def uses(predictions: Sequence[Tensor], parameters: Sequence[Tensor]) -> tuple[list[Use], set[int]]:
    """Uses of the parameters in the graph of the predictions, and positions of parameters that are not read."""
    position = {id(p): i for i, p in enumerate(parameters)}
    found: list[Use] = []
    unread: set[int] = set()
    for node, edges in _nodes_with_parameters(predictions, position):
        made = _read(node, edges, parameters)
        covered = {i for use in made for i in use.positions}
        unread |= {p for p, _ in edges.values()} - covered
        found += made
    while True:  # what is used together with a parameter that is not read is not read either
        bad = [use for use in found if unread & set(use.positions)]
        if not bad:
            counts: Counter[tuple[int, ...]] = Counter()
            for use in found:
                use.ordinal = counts[use.positions]
                counts[use.positions] += 1
            return found, unread
        unread |= {i for use in bad for i in use.positions}
        found = [use for use in found if use not in bad]


def _nodes_with_parameters(
    predictions: Sequence[Tensor], position: dict[int, int]
) -> Iterator[tuple[_Node, dict[int, tuple[int, bool]]]]:
    """Nodes with a trained parameter, or its transpose, among their inputs: input → (position, transposed)."""
    pending: list[_Node] = [p.grad_fn for p in predictions if p.grad_fn is not None]
    seen = set(pending)
    while pending:
        node = pending.pop()
        edges = {}
        for i, (following, _) in enumerate(node.next_functions):
            if following is None:
                continue
            resolved = _parameter(following, position)
            if resolved is not None:
                edges[i] = resolved
            elif (part := _part_of_parameter(node, following, position)) is not None:
                edges[i] = (part, False)
            elif following not in seen:
                seen.add(following)
                pending.append(following)
        if edges:
            yield node, edges


def _parameter(node: _Node, position: dict[int, int]) -> tuple[int, bool] | None:
    flipped = False
    while True:
        name = node.name()
        if name == "torch::autograd::AccumulateGrad":
            found = position.get(id(node.variable))
            return None if found is None else (found, flipped)
        if name not in _FLIPS + _SAME or len(node.next_functions) != 1:
            return None
        (inner, _) = node.next_functions[0]
        if inner is None or (name in _FLIPS and not _of_matrix(inner)):
            return None
        flipped ^= name in _FLIPS and not _keeps(node)
        node = inner


def _part_of_parameter(node: _Node, following: _Node, position: dict[int, int]) -> int | None:
    """The parameter of which an input of a sum or product is a part or a view, and broadcast."""
    if node.name() not in ("AddBackward0", "MulBackward0"):
        return None
    looked_up, inner = False, following
    while inner.name() in _PARTS and len(inner.next_functions) >= 1:
        looked_up = looked_up or inner.name() == "EmbeddingBackward0"
        (inner, _) = inner.next_functions[0]
        if inner is None:
            return None
    if inner.name() != "torch::autograd::AccumulateGrad" or inner is following:
        return None
    if looked_up and _shape(node).numel() == _shape(following).numel():
        return None  # an embedding of inputs
    return position.get(id(inner.variable))


def _shape(node: _Node) -> torch.Size:
    return torch.Size(node._input_metadata[0].shape)


def _of_matrix(node: _Node) -> bool:
    """Whether a chain of the views above ends at a parameter with two axes."""
    while node.name() in _FLIPS + _SAME and len(node.next_functions) == 1:
        (node, _) = node.next_functions[0]
        if node is None:
            return False
    return node.name() == "torch::autograd::AccumulateGrad" and node.variable.dim() == 2


def _keeps(node: _Node) -> bool:
    """Whether a permutation of two axes leaves them in place."""
    if node.name() == "PermuteBackward0":
        return tuple(d % 2 for d in node._saved_dims) == (0, 1)
    if node.name() == "TransposeBackward0":
        return node._saved_dim0 % 2 == node._saved_dim1 % 2
    return False


def _read(node: _Node, edges: dict[int, tuple[int, bool]], parameters: Sequence[Tensor]) -> list[Use]:
    rule = _RULES.get(node.name())
    return [] if rule is None else rule(node, edges, parameters)


def _matmul(node: _Node, edges: dict[int, tuple[int, bool]], parameters: Sequence[Tensor]) -> list[Use]:
    """Inputs [rows, i] times a matrix [i, o], with or without a bias."""
    with_bias = node.name() == "AddmmBackward0"
    at = 2 if with_bias else 1
    if with_bias and edges.keys() == {0} and node._saved_beta == 1:  # the weight is a constant
        position = edges[0][0]
        return [Vector(GradientEdge(node, 0), position, tuple(parameters[position].shape), lambda g: g)]
    if at not in edges or (with_bias and (node._saved_alpha != 1 or node._saved_beta != 1)):
        return []
    position, flipped = edges[at]
    a = node._saved_mat1 if with_bias else node._saved_self
    weight = parameters[position]
    outputs, inputs = weight.shape if flipped else weight.T.shape
    bias = edges[0][0] if with_bias and 0 in edges and parameters[edges[0][0]].shape == (outputs,) else None
    layout = Layout(1, outputs, inputs, flipped=not flipped)
    return [
        Product(
            GradientEdge(node, 0),
            position,
            bias,
            layout,
            lambda: a.detach()[None, None],
            lambda g: g[None, None],
        )
    ]


def _convolution(node: _Node, edges: dict[int, tuple[int, bool]], parameters: Sequence[Tensor]) -> list[Use]:
    if edges.keys() == {2}:  # the weight is a constant
        bias, axes = edges[2][0], len(node._saved_stride)
        shape = (len(parameters[bias]), *(1 for _ in range(axes)))
        return [Vector(GradientEdge(node, 0), bias, shape, lambda g: g)]
    if 1 not in edges or node._saved_input.dim() != parameters[edges[1][0]].dim():
        return []
    a, position = node._saved_input.detach(), edges[1][0]
    weight, groups = parameters[position], node._saved_groups
    spatial = weight.shape[2:]
    geometry = node._saved_stride, node._saved_padding, node._saved_dilation
    bias = edges[2][0] if 2 in edges else None
    edge = GradientEdge(node, 0)
    if node._saved_transposed:
        layout = Layout(groups, weight[0].numel(), weight.shape[0] // groups, flipped=True)
        found: list[Use] = [
            Product(
                edge, position, None, layout, lambda: _pixels(a, groups),
                lambda g: _patches(g, spatial, geometry, groups, a.shape[2:]), first=len(a),
            )
        ]  # fmt: skip
        if bias is not None:
            found.append(Vector(edge, bias, (len(parameters[bias]), *(1 for _ in spatial)), lambda g: g))
        return found
    layout = Layout(groups, weight.shape[0] // groups, weight[0].numel())
    return [
        Product(
            edge, position, bias, layout, lambda: _patches(a, spatial, geometry, groups),
            lambda g: _pixels(g, groups), first=len(a),
        )
    ]  # fmt: skip


def _pixels(x: Tensor, groups: int) -> Tensor:
    """[n, c, …] as [groups, n, places, c / groups], a view."""
    return x.reshape(len(x), groups, x.shape[1] // groups, -1).permute(1, 0, 3, 2)


def _patches(
    x: Tensor, kernel: Sequence[int], geometry: Any, groups: int, places: Sequence[int] | None = None
) -> Tensor:
    """What each place of a convolution sees, [groups, n, places, c / groups · kernel]; places vary fastest in memory.

    ``places`` are those of a transposed convolution, whose output padding may leave some that no input reaches.
    """
    stride, padding, dilation = geometry
    n, axes = len(x), len(kernel)
    if axes == 2 and places is None:
        columns = F.unfold(x, tuple(kernel), dilation, padding, stride)
        return columns.view(n, groups, -1, columns.shape[-1]).permute(1, 0, 3, 2)
    if any(padding):
        x = F.pad(x, [p for pad in reversed(padding) for p in (pad, pad)])
    for i in range(axes):
        extent = dilation[i] * (kernel[i] - 1) + 1
        if places is not None:
            needed = (places[i] - 1) * stride[i] + extent
            short = max(0, needed - x.shape[2 + i])
            if short:
                x = F.pad(x, [*(0 for _ in range(2 * (axes - 1 - i))), 0, short])
            x = x.narrow(2 + i, 0, needed)
        x = x.unfold(2 + i, extent, stride[i])[..., :: dilation[i]]
    x = x.permute(0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes))  # channels, kernel, places
    count = torch.Size(x.shape[2 + axes :]).numel()
    return x.reshape(n, groups, -1, count).permute(1, 0, 3, 2)


def _embedding(node: _Node, edges: dict[int, tuple[int, bool]], parameters: Sequence[Tensor]) -> list[Use]:
    if 0 not in edges or node._saved_scale_grad_by_freq:
        return []
    position, indices = edges[0][0], node._saved_indices
    number, width = parameters[position].shape
    padding = node._saved_padding_idx
    padded = None if padding is None or padding < 0 or padding >= number else padding

    def gradients(g: Tensor) -> Tensor:
        g = g.reshape(1, 1, -1, width)
        if padded is not None:
            g = g.masked_fill((indices.reshape(1, 1, -1, 1) == padded), 0)
        return g

    layout = Layout(1, width, number, flipped=True)
    return [
        Product(
            GradientEdge(node, 0), position, None, layout, lambda: indices.reshape(-1), gradients, hot=True
        )
    ]


def _norm(node: _Node, edges: dict[int, tuple[int, bool]], _: Sequence[Tensor]) -> list[Use]:
    plain, shape = _NORMS[node.name()](node)
    edge = GradientEdge(node, 0)
    first = None if node.name() == "NativeLayerNormBackward0" else len(node._saved_input)
    found: list[Use] = []
    if 1 in edges:
        found.append(Vector(edge, edges[1][0], shape, lambda g: g * plain(), first))
    if 2 in edges:
        found.append(Vector(edge, edges[2][0], shape, lambda g: g, first))
    return found


def _layer_norm(node: _Node) -> tuple[Callable[[], Tensor], tuple[int, ...]]:
    x, mean, rstd = (t.detach() for t in (node._saved_input, node._saved_result1, node._saved_result2))
    return lambda: (x - mean) * rstd, tuple(node._saved_normalized_shape)


def _group_norm(node: _Node) -> tuple[Callable[[], Tensor], tuple[int, ...]]:
    x, mean, rstd = (t.detach() for t in (node._saved_input, node._saved_result1, node._saved_result2))
    n, groups = mean.shape

    def plain() -> Tensor:
        return ((x.reshape(n, groups, -1) - mean[..., None]) * rstd[..., None]).view(x.shape)

    return plain, (x.shape[1], *(1 for _ in x.shape[2:]))


def _batch_norm(node: _Node) -> tuple[Callable[[], Tensor], tuple[int, ...]]:
    x = node._saved_input.detach()
    shape = (x.shape[1], *(1 for _ in x.shape[2:]))

    def plain() -> Tensor:
        if node._saved_training if hasattr(node, "_saved_training") else node._saved_train:
            mean, rstd = node._saved_result1.detach(), node._saved_result2.detach()
        else:
            epsilon = node._saved_eps if hasattr(node, "_saved_eps") else node._saved_epsilon
            mean, rstd = node._saved_running_mean, (node._saved_running_var + epsilon).rsqrt()
        return (x - mean.view(shape)) * rstd.view(shape)

    return plain, shape


_NORMS: dict[str, Callable[[_Node], tuple[Callable[[], Tensor], tuple[int, ...]]]] = {
    "NativeLayerNormBackward0": _layer_norm,
    "NativeGroupNormBackward0": _group_norm,
    "NativeBatchNormBackward0": _batch_norm,
    "CudnnBatchNormBackward0": _batch_norm,
}


def _elementwise(node: _Node, edges: dict[int, tuple[int, bool]], parameters: Sequence[Tensor]) -> list[Use]:
    """A parameter that is repeated, added (with factor 1) or multiplied; not one with another."""
    if len(edges) != 1:
        return []
    ((at, (position, flipped)),) = edges.items()
    if flipped:
        return []
    shape, edge, source = tuple(parameters[position].shape), GradientEdge(node, 0), None
    following, output = node.next_functions[at]
    if node.name() != "ExpandBackward0" and following.name() != "torch::autograd::AccumulateGrad":
        shape = tuple(following._input_metadata[output].shape)
        source = GradientEdge(following, output), parameters[position]
    if node.name() == "ExpandBackward0":
        return [Vector(edge, position, shape, lambda g: g)]
    if node.name() == "AddBackward0":
        if at == 1 and node._saved_alpha != 1:
            return []
        return [Vector(edge, position, shape, lambda g: g, source=source)]
    other = node._saved_other if at == 0 else node._saved_self
    if other is None:
        return []
    return [Vector(edge, position, shape, lambda g: g * other.detach(), source=source)]


_RULES: dict[str, Callable[[_Node, dict[int, tuple[int, bool]], Sequence[Tensor]], list[Use]]] = {
    "AddmmBackward0": _matmul,
    "MmBackward0": _matmul,
    "ConvolutionBackward0": _convolution,
    "EmbeddingBackward0": _embedding,
    "AddBackward0": _elementwise,
    "ExpandBackward0": _elementwise,
    "MulBackward0": _elementwise,
    **dict.fromkeys(_NORMS, _norm),
}
