"""What comes from the data: tensors without a gradient that enter the first layers below a loss.

A layer saves its input for the gradient of its weights. Where nothing that is trained made that input, it is a batch
of data (or of the features of a frozen part, or of random numbers). Saved tensors behind a user's hook are left
alone.
"""

from typing import Any

from torch import Tensor

from losscope.losses.graph.node import Graph, split_name

_SAVED = {
    "Addmm": ("mat1", 1),
    "Bmm": ("self", 0),
    "Convolution": ("input", 0),
    "CudnnBatchNorm": ("input", 0),
    "CudnnRnn": ("input", 0),
    "Linear": ("input", 0),
    "MkldnnLinear": ("self", 0),
    "MkldnnRnnLayer": ("input", 0),
    "Mm": ("self", 0),
    "Mv": ("self", 0),
    "NativeBatchNorm": ("input", 0),
    "NativeLayerNorm": ("input", 0),
}
"""By operation: the name under which it saves its input, and the place of that input among its operands."""
_INDICES = frozenset({"Embedding", "EmbeddingBag"})
_NODES = 512
_MOST = 4


def inputs_below(fn: Any) -> tuple[Tensor, ...]:
    """At most four inputs of first layers, detached, in the order of discovery.

    Visits at most 512 nodes, depth first, so that the first layers are soon met: under a microsecond each.
    """
    graph = Graph()
    found: dict[int, Tensor] = {}
    stack, seen = [fn], {fn}
    try:
        while stack and len(seen) < _NODES and len(found) < _MOST:
            node = stack.pop()
            tensor = _data_of(graph, node)
            if tensor is not None and tensor.numel():
                found[tensor.data_ptr()] = tensor
            for child, _ in node.next_functions:
                if child is not None and child not in seen:
                    seen.add(child)
                    stack.append(child)
    finally:
        graph.close()
    return tuple(found.values())


def _data_of(graph: Graph, fn: Any) -> Tensor | None:
    op, _ = split_name(fn.name())
    if op in _INDICES:
        return graph.node(fn, 0).saved("indices")
    if op not in _SAVED:
        return None
    name, place = _SAVED[op]
    edges = fn.next_functions
    if place >= len(edges) or edges[place][0] is not None:
        return None
    return graph.node(fn, 0).saved(name)
