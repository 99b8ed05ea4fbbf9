"""How each kind of autograd node uses the parameters at its inputs, read off what it saved for the backward pass."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.graph import GradientEdge

from losscope.operators.structured.use import Layout, Product, Use, Vector

_Node = Any  # torch.autograd.graph.Node, whose saved values are not typed


def read_node(node: _Node, edges: dict[int, tuple[int, bool]], parameters: Sequence[Tensor]) -> list[Use]:
    """The uses of the parameters at ``edges``: input → (position, transposed); none where its kind is not known."""
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
