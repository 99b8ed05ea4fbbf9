"""One additive part of an objective, and the linear way from it to the root."""

from typing import NamedTuple

from torch import Tensor

from losscope.losses.graph.node import Node
from losscope.losses.graph.values import apply, output

VIEWS = frozenset(
    {"View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Permute", "Transpose", "T", "Clone"}
    | {"Alias", "ToCopy", "Expand", "ViewAs", "Contiguous", "NanToNum"}
)
COPIES = frozenset({"Clone", "Alias", "ToCopy", "Contiguous", "NanToNum"})
PICKS = frozenset(
    {"Index", "MaskedSelect", "IndexSelect", "Slice", "Select", "Topk", "Sort", "Take", "Unbind"}
)


class Part(NamedTuple):
    """One additive part of an objective and the linear way from it to the root.

    ``scale`` is the product of all constant scalar factors, 1/n of every mean included. ``averaged``
    and ``divisors`` tell where 1/n came from; ``weights`` are constant tensors that multiply elements;
    ``picks`` are the nodes that select some elements. ``route`` is the list of linear nodes above the
    part (with the input taken) up to the first scalar, ``head`` the factor from there to the root;
    together they evaluate exactly. ``anchor`` is the part at the topmost node below the last reduction
    to a scalar. A named tuple, because many are made: copying one costs a third of a dataclass.
    """

    node: Node
    scale: float = 1.0
    averaged: int = 1
    means: int = 0
    sums: int = 0
    divisors: tuple[float, ...] = ()
    weights: tuple[Tensor, ...] = ()
    picks: tuple[Node, ...] = ()
    route: tuple[tuple[Node, int], ...] = ()
    head: float = 1.0
    anchor: "Part | None" = None

    def value(self) -> Tensor | None:
        """What this part alone adds to the root, or ``None``."""
        current = output(self.node)
        for node, position in reversed(self.route):
            if current is None:
                return None
            current = _through(node, position, current)
        return None if current is None else current * (self.head if self.route else self.scale)


def _through(node: Node, position: int, value: Tensor) -> Tensor | None:
    """A linear node applied to one input, with zeros at its other differentiable inputs."""
    if node.op == "Add" or (node.op == "Sub" and position == 0):
        factor = node.option("alpha", 1) if position == 1 else 1
        return (value * factor).expand(node.shape)
    if node.op in ("Sub", "Rsub"):
        return (value * -float(node.option("alpha", 1) if node.op == "Sub" else 1)).expand(node.shape)
    if node.op == "Where":
        condition = node.saved("condition")
        if condition is None:
            return None
        return value * (condition if position == 0 else ~condition)
    if node.op == "MaskedFill":
        mask = node.saved("mask")
        return None if mask is None else value.masked_fill(mask, 0)
    if node.op in ("Stack", "Cat"):
        return _joined(node, position, value)
    if node.op in PICKS:
        return picked(node, value)
    if node.op in ("Permute", "Transpose", "T"):
        return moved(node, value)
    if node.op == "Expand":
        return value.expand(node.shape)
    if node.op in VIEWS:
        return value.reshape(node.shape)
    inputs: list[Tensor | None] = [None] * len(node.inputs)
    inputs[position] = value
    return apply(node, inputs)


def _joined(node: Node, position: int, value: Tensor) -> Tensor | None:
    inputs: list[Tensor | None] = []
    for index, child in enumerate(node.inputs):
        if index == position:
            inputs.append(value)
        elif child is None:
            return None
        else:
            inputs.append(value.new_zeros(child.shape))
    return apply(node, inputs)


def moved(node: Node, value: Tensor) -> Tensor | None:
    """Permute and transpose, whose arguments autograd saves."""
    if node.op == "Permute":
        return value.permute(node.option("dims"))
    if node.op == "Transpose":
        return value.transpose(node.option("dim0"), node.option("dim1"))
    return value.t()


def picked(node: Node, value: Tensor) -> Tensor | None:
    """The elements of ``value`` that an indexing node takes."""
    if node.op == "Index":
        return _indexed(node, value)
    if node.op == "MaskedSelect":
        mask = node.saved("mask")
        return None if mask is None else value.masked_select(mask)
    if node.op == "Select":
        return value.select(node.option("dim"), node.option("index"))
    if node.op == "Slice":
        dim, start, end, step = (node.option(n) for n in ("dim", "start", "end", "step"))
        size = value.shape[dim]
        begin = max(0, start + size if start < 0 else start)
        stop = min(size, end + size if end < 0 else end)
        return value.narrow(dim, begin, max(0, stop - begin))[
            tuple([slice(None)] * (dim % value.dim()) + [slice(None, None, step)])
        ]
    if node.op in ("IndexSelect", "Take"):
        index = node.saved("index")
        if index is None:
            return None
        return value.take(index) if node.op == "Take" else value.index_select(node.option("dim"), index)
    if node.op == "Unbind":
        return value.unbind(node.option("dim"))[node.index]
    if node.op in ("Topk", "Sort"):
        index = node.saved("indices")
        return None if index is None else value.gather(node.option("dim"), index)
    return None


def _indexed(node: Node, value: Tensor) -> Tensor | None:
    indices = node.saved_list("indices")
    if not indices:
        return None
    full = tuple(slice(None) if i is None else i for i in indices)
    return value[full]
