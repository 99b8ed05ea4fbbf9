"""Which axis runs over the classes, followed through views."""

from math import prod

from losscope.losses.graph.node import Node


def class_axis(shape: tuple[int, ...]) -> int:
    """The axis of the classes in the scores of ``nll_loss``: 1, or 0 without a batch axis."""
    return 1 if len(shape) > 1 else 0


def axis_above(node: Node, axis: int, stop: Node) -> int | None:
    """Follow ``axis`` of ``node``'s output down through views to ``stop``; ``None`` where it is lost."""
    current: Node | None = node
    while current is not None and current is not stop:
        child = current.inputs[0] if current.inputs else None
        if child is None:
            return None
        axis_below = _axis_below(current, child, axis)
        if axis_below is None:
            return None
        current, axis = child, axis_below
    return axis


def _axis_below(node: Node, child: Node, axis: int) -> int | None:
    if node.op == "Permute":
        return node.option("dims")[axis] % len(child.shape)
    if node.op in ("Transpose", "T"):
        first, second = (0, 1) if node.op == "T" else (node.option("dim0"), node.option("dim1"))
        first, second = first % len(child.shape), second % len(child.shape)
        return {first: second, second: first}.get(axis, axis)
    if node.shape == child.shape:
        return axis
    after = prod(node.shape[axis + 1 :])
    places = [
        i
        for i, size in enumerate(child.shape)
        if size == node.shape[axis] and prod(child.shape[i + 1 :]) == after
    ]
    return places[0] if len(places) == 1 else None
