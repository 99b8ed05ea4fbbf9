"""Differences of prediction and target, and squares, in the forms in which people write them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.losses.graph.node import Node
from losscope.losses.graph.part import PICKS, VIEWS
from losscope.losses.graph.values import operand, output


@dataclass(frozen=True, slots=True)
class Residual:
    """prediction - target, where the side that needs no gradient is ``None``."""

    node: Node
    prediction: Node | None
    target: Node | None
    constant_target: bool = False


def residual(node: Node | None) -> Residual | None:
    """A difference of two tensors, in either order, or of a tensor and a number."""
    if node is None:
        return None
    node = node.skip(VIEWS - {"Expand"})
    if node.op in ("Sub", "Rsub"):
        present = [i for i in node.inputs if i is not None]
        if not present:
            return None
        if len(present) == 2:
            return None if _neighbours(present[0], present[1]) else Residual(node, present[0], present[1])
        if _is_loss(present[0]):
            return None
        return Residual(node, present[0], None, constant_target=len(node.inputs) == 1)
    if node.op == "Add" and len(node.inputs) == 2:  # -y + f(x), eps inside pairwise distances
        present = [i for i in node.inputs if i is not None]
        if len(present) == 1 and present[0].op == "Neg":
            return Residual(node, present[0].inputs[0], None)
    return None


def _neighbours(first: Node, second: Node) -> bool:
    """Two selections of one tensor: a finite difference or a total variation, not an error."""
    picks = PICKS | VIEWS
    return first.op in PICKS and second.op in PICKS and first.skip(picks) is second.skip(picks)


def _is_loss(node: Node) -> bool:
    """One number that is itself a loss, as in the |loss - b| of flooding."""
    return node.numel == 1 and (node.op in ("NllLoss", "NllLoss2D", "Mean") or "Loss" in node.op)


def square_of(node: Node) -> Node | None:
    """The x of x², written as a power, a product with itself, or |x|²."""
    if node.op == "Pow" and node.variant == 0 and node.option("exponent") == 2:
        inner = node.inputs[0]
    elif node.op == "Mul" and len(node.inputs) == 2:
        first, second = node.inputs
        inner = None
        if first is not None and second is not None and _equal(first, second, node):
            inner = first
    else:
        return None
    if inner is not None and inner.op == "Abs":
        return inner.inputs[0]
    return inner


def _equal(first: Node, second: Node, product: Node) -> bool:
    """The same tensor, or two tensors that the code computed twice, such as ``(a - b) * (a - b)``."""
    if first is second:
        return True
    if first.op != second.op or first.op not in ("Sub", "Rsub", "Add") or first.inputs != second.inputs:
        return False
    left, right = operand(product, 0), operand(product, 1)
    return left is not None and right is not None and left.shape == right.shape and torch.equal(left, right)


def broadcasts(found: Residual) -> bool:
    """Whether both sides were stretched, (N, 1) against (N,): an N×N table of differences.

    Where the target is not known, the differences tell: p_i - y_j has zero mixed differences.
    """
    if found.prediction is None:
        return False
    shape, own = found.node.shape, found.prediction.shape
    size = 1
    for length in own:
        size *= length
    if size in (1, found.node.numel) or len(shape) < 2:
        return False
    if found.target is not None:
        return found.target.numel < found.node.numel
    values = output(found.node)
    if values is None:
        return True
    corner = values.reshape(-1, *shape[-2:])[0][:8, :8].double()
    mixed = corner - corner[:1] - corner[:, :1] + corner[:1, :1]
    return bool(mixed.abs().max() <= 1e-4 * (1 + corner.abs().max()))


def stretched(tensor: Tensor | None) -> bool:
    """Whether a saved tensor is an expanded view: some axis longer than 1 has stride 0."""
    return tensor is not None and any(
        size > 1 and step == 0 for size, step in zip(tensor.shape, tensor.stride(), strict=True)
    )
