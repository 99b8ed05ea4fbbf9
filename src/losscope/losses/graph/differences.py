"""Differences of prediction and target, and squares, in the forms in which people write them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.losses.graph.node import Node
from losscope.losses.graph.outer import constant_axes, is_table, stretched_axes
from losscope.losses.graph.part import PICKS, VIEWS
from losscope.losses.graph.values import operand, output

_EXPAND = frozenset({"Expand"})


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


def table_notes(found: Residual) -> tuple[str, ...]:
    """``shape-broadcast`` where both sides were stretched, (N, 1) against (N,), to an N×N table of differences.

    ``all-pairs`` where the code shows that such a table may be meant: an axis was inserted for it, or two outputs of
    one rank meet. A tensor and its own transpose are no error of a prediction. Where the target is not known, it is
    what the difference and the prediction leave.
    """
    if found.prediction is None:
        return ()
    shape = found.node.shape
    source = found.prediction.skip(_EXPAND)
    ours = stretched_axes(source.shape, shape)
    if not ours or source.numel < 2:
        return ()
    meant = source.op == "Unsqueeze"
    if found.target is not None:
        other = found.target.skip(_EXPAND)
        if source.skip(VIEWS) is other.skip(VIEWS):
            return ()
        meant = meant or len(source.shape) == len(other.shape)
        table = is_table(ours, stretched_axes(other.shape, shape), shape)
    else:
        table = _leaves_table(found.node, source, ours)
    return ("all-pairs" if meant else "shape-broadcast",) if table else ()


def _leaves_table(node: Node, source: Node, ours: frozenset[int]) -> bool:
    """Whether the unknown side of a difference is constant along an axis along which the prediction is not."""
    residual, prediction = output(node), output(source)
    if residual is None:
        return False
    if prediction is None:
        return _is_sum_table(residual, ours)
    target = _target_left(node, residual, prediction)
    rounding = 8 * torch.finfo(target.dtype).eps * float(prediction.abs().max() + residual.abs().max())
    return is_table(ours, constant_axes(target, rounding) - ours, node.shape)


def _target_left(node: Node, residual: Tensor, prediction: Tensor) -> Tensor:
    """The y of p - y or y - p, at the shape of the difference."""
    first = node.op == "Sub" and node.inputs[0] is not None
    return prediction - residual if first else prediction + residual


def _is_sum_table(residual: Tensor, ours: frozenset[int]) -> bool:
    """p_i - y_j has zero mixed differences along the axis where p is repeated and one of equal length."""
    for i in ours:
        for j in range(residual.dim()):
            if j in ours or residual.shape[j] != residual.shape[i] or residual.shape[i] < 2:
                continue
            table = residual.movedim((i, j), (0, 1)).double()
            mixed = table - table[:1] - table[:, :1] + table[:1, :1]
            size = 8 * torch.finfo(residual.dtype).eps * float(residual.abs().max())
            if bool(mixed.abs().max() <= 4 * size):
                return True
    return False
