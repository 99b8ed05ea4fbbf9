"""What a network does with each of its parameters, read off the autograd graph.

Hooks on modules miss what modules do not call: the projections of ``nn.MultiheadAttention``, a weight that is handed to
``F.linear``, Hugging Face's ``Conv1D``, a parameter that is added or multiplied. In the graph each of these is a node
with the parameter at one of its inputs, with the other input saved; the gradient that flows into the node is asked for
as a ``GradientEdge``, so that no gradient of a weight is ever computed.

A parameter counts as read only if every edge of the graph that leads to it belongs to a node of a known kind.

Torch runs a linear layer as one node or as a product and a sum, by how its inputs lie in memory: those of one sample
lie otherwise than those of more. Both are read as one use of weight and bias.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from losscope.operators.structured.node_rules import read_node
from losscope.operators.structured.use import Product, Use, Vector

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
_VIEWS = ("ViewBackward0", "UnsafeViewBackward0", "ReshapeAliasBackward0")
_Node = Any  # torch.autograd.graph.Node, whose saved values are not typed


def uses(predictions: Sequence[Tensor], parameters: Sequence[Tensor]) -> tuple[list[Use], set[int]]:
    """Uses of the parameters in the graph of the predictions, and positions of parameters that are not read."""
    position = {id(p): i for i, p in enumerate(parameters)}
    found: list[Use] = []
    unread: set[int] = set()
    consumers: Counter[_Node] = Counter(p.grad_fn for p in predictions)
    for node, edges in _nodes_with_parameters(predictions, position, consumers):
        made = read_node(node, edges, parameters)
        covered = {i for use in made for i in use.positions}
        unread |= {p for p, _ in edges.values()} - covered
        found += made
    found = _with_their_biases(found, consumers)
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


def _with_their_biases(found: Sequence[Use], consumers: Counter[_Node]) -> list[Use]:
    """Sums of a product's rows and a parameter, and nothing else of them, are that product's bias."""
    products = {use.edge.node: use for use in found if isinstance(use, Product) and use.bias is None}
    joined: dict[int, Use | None] = {}
    for use in found:
        if isinstance(use, Vector) and _whole(use) and use.edge.node.name() == "AddBackward0":
            product = products.get(_product_below(use, consumers))
            if product is not None and use.shape == (product.layout.outputs,):
                joined[id(product)], joined[id(use)] = replace(product, bias=use.position), None
    pairs = [(use, joined.get(id(use), use)) for use in found]
    return [now for _, now in pairs if now is not None]


def _whole(use: Vector) -> bool:
    """Whether a parameter is added as it is, or its copy in another type; not a part or a view of it."""
    if use.source is None:
        return True
    node: _Node = use.source[0].node
    while node.name() in _SAME:
        (node, _) = node.next_functions[0]
    return node.name() == "torch::autograd::AccumulateGrad"


def _product_below(bias: Vector, consumers: Counter[_Node]) -> _Node:
    """The product of matrices whose rows, only looked at otherwise, a parameter is added to; ``None``: another node."""
    node, shape = bias.edge.node, _shape(bias.edge.node)
    others = [n for n, _ in node.next_functions if n is not None and consumers[n] == 1]
    others = [n for n in others if n.name() in (*_VIEWS, "MmBackward0")]
    if len(others) != 1 or _shape(others[0]) != shape or len(bias.shape) != 1:
        return None
    node = others[0]
    while node is not None and node.name() in _VIEWS and _shape(node)[-1:] == shape[-1:]:
        (node, _) = node.next_functions[0]
        if node is not None and consumers[node] != 1:
            return None
    if node is None or node.name() != "MmBackward0" or _shape(node)[-1:] != shape[-1:]:
        return None
    return node


def _nodes_with_parameters(
    predictions: Sequence[Tensor], position: dict[int, int], consumers: Counter[_Node]
) -> Iterator[tuple[_Node, dict[int, tuple[int, bool]]]]:
    """Nodes with a trained parameter, or its transpose, among their inputs: input → (position, transposed).

    ``consumers`` counts how many edges lead to a node.
    """
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
            else:
                consumers[following] += 1
                if following not in seen:
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
