"""Terms that depend on parameters alone."""

from losscope.losses.graph.node import Node
from losscope.losses.graph.part import VIEWS, Part
from losscope.losses.spec import Reading


def leaf_below(node: Node) -> Node | None:
    """The leaf that ``node`` is a view or a cast of, or a concatenation of leaves' views."""
    node = node.skip(VIEWS - {"Expand"})
    if node.op == "leaf":
        return node
    if node.op in ("Cat", "Stack") and node.inputs:
        below = [leaf_below(child) if child is not None else None for child in node.inputs]
        return below[0] if all(b is not None for b in below) else None
    return None


def penalty_reading(part: Part, leaf: Node) -> Reading:
    """A penalty is a sum over the elements of its parameters, unless the code takes their mean."""
    mean = part.means > 0 and part.averaged == part.node.numel
    return Reading(
        prediction=leaf,
        elements=part.node.shape,
        reduction=None if mean else "sum",
    )
