"""Hinge-like shapes: max(0, a), and the sum inside."""

from losscope.losses.graph.linear import parts_of
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part


def hinge_argument(node: Node) -> Node | None:
    """The a of ``relu(a)``, ``a.clamp(min=0)`` or ``maximum(a, 0)``."""
    if node.op == "Relu":
        return node.inputs[0]
    if node.op == "ClampMin" and node.option("min") == 0:
        return node.inputs[0]
    if node.op == "Clamp" and node.option("min") == 0 and node.option("max") is None:
        return node.inputs[0]
    if node.op == "Maximum" and len(node.inputs) == 2:
        present = [i for i, child in enumerate(node.inputs) if child is not None]
        if len(present) == 1:
            constant = node.saved("other" if present[0] == 0 else "self")
            if constant is not None and not bool(constant.any()):
                return node.inputs[present[0]]
    return None


def inner_parts(node: Node) -> tuple[list[Part], bool]:
    """The sum inside a hinge: its parts, and whether a constant (a margin) is added to them."""
    found = parts_of(node, lambda part: part.node.op in ("Sum", "Mean"))
    return found.parts, found.constant
