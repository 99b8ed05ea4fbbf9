"""Cosine similarity in its two forms in PyTorch's graphs."""

from losscope.losses.graph.node import Node


def cosine_operands(node: Node) -> tuple[Node | None, Node | None] | None:
    """(a, b) of a·b/(‖a‖‖b‖), or ``None`` where ``node`` is no cosine.

    ``cosine_embedding_loss`` divides Σ ab by a square root; ``cosine_similarity`` multiplies two
    normalised vectors and sums.
    """
    if node.op == "Div" and len(node.inputs) == 2:
        total, norm = node.inputs
        if total is None or norm is None or total.op != "Sum" or norm.op != "Sqrt":
            return None
        product = total.inputs[0]
        return _pair(product) if product is not None and product.op == "Mul" else None
    if node.op == "Sum" and node.inputs[0] is not None and node.inputs[0].op == "Mul":
        sides = node.inputs[0].inputs
        units = [_normalised(side) for side in sides]
        present = [u for u in units if u is not None]
        if present and all(s is None or u is not None for s, u in zip(sides, units, strict=True)):
            return (units[0], units[1]) if len(units) == 2 else None
    return None


def _pair(product: Node) -> tuple[Node | None, Node | None] | None:
    return (product.inputs[0], product.inputs[1]) if len(product.inputs) == 2 else None


def _normalised(node: Node | None) -> Node | None:
    """The v of v/‖v‖."""
    if node is None or node.op != "Div" or len(node.inputs) != 2 or node.inputs[1] is None:
        return None
    divisor = node.inputs[1].skip(frozenset({"ClampMin", "Clamp", "Clone", "Expand", "Maximum"}))
    return node.inputs[0] if divisor.op in ("LinalgVectorNorm", "Norm", "Sqrt") else None
