"""How the prediction ends that a loss judges, whatever loss it is: normalised over which axis, or not at all.

Everything here follows from the operations and from the axis along which the targets are distributions; a loss of
several classes needs its predictions normalised along the same axis.
"""

from collections.abc import Iterator

from torch import Tensor

from losscope.losses.graph.constants import sums_to_one
from losscope.losses.graph.forms import TRANSPARENT
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import PICKS, VIEWS, Part

_FUSED = frozenset({"MseLoss", "BinaryCrossEntropy", "SmoothL1Loss", "HuberLoss"})
_BETWEEN = (
    frozenset({"Abs", "Add", "Log", "Mul", "Neg", "Pow", "Rsub", "Sub", "Sqrt", "Xlogy"})
    | TRANSPARENT
    | PICKS
)
_LINEAR_FORM = frozenset({"Add", "Mul", "Neg", "Rsub", "Sub"}) | VIEWS
_NODES = 16
_PICKED = frozenset({"NllLoss", "Log", "LogSoftmax", "Softmax", "Gather", "Index"}) | PICKS
_RESHAPED = frozenset({"View", "UnsafeView", "ReshapeAlias"})
_SHARE = 0.95  # of rows that are distributions, where some are padding


def is_linear_layer(node: Node | None) -> bool:
    """Whether a node is the output of a linear layer: a product with a parameter, of either sign and of any size."""
    if node is None:
        return False
    node = node.skip(VIEWS | PICKS)
    if node.op in ("Addmm", "Convolution", "Baddbmm"):
        return True
    factors = [child.skip(VIEWS) for child in node.inputs if child is not None]
    return node.op in ("Mm", "Bmm", "Mv") and any(factor.op == "leaf" for factor in factors)


def ending_notes(part: Part, target: Tensor | None) -> tuple[str, ...]:
    """``wrong-softmax-dimension``, ``softmax-of-one``, ``one-output-column``, ``missing-activation``, ``classes-mixed``
    (a reshape put pixels where classes belong), or of targets of a softmax ``several-classes`` and ``no-distribution``.

    ``target`` is what the loss compares with, where it is known; factors of the part are looked at too.
    """
    constants = [w for w in part.weights if tuple(w.shape) == part.node.shape]
    if target is not None:
        constants.append(target)
    for node in _elementwise(part.node):
        constants += _constants(node)
        if node.op in ("Softmax", "LogSoftmax"):
            found = _softmax_notes(node, constants)
            if found:
                return found
    if _takes_raw_scores(part):
        return ("missing-activation",)
    if _mixes_classes(part.node):
        return ("classes-mixed",)
    return _no_distribution(part)


def _elementwise(root: Node) -> Iterator[Node]:
    """Nodes of the elementwise part of a loss down to what it is applied to, which is included."""
    waiting, seen = [root], 0
    while waiting and seen < _NODES:
        node, seen = waiting.pop(), seen + 1
        yield node
        if node.op in _BETWEEN | _FUSED:
            waiting += [child for child in node.inputs if child is not None]


def _constants(node: Node) -> list[Tensor]:
    """Constants of the shape of a node that it was multiplied by or compared with."""
    found = [node.saved(name) for name in ("self", "other", "target") if node.op in _FUSED | {"Mul", "Xlogy"}]
    return [t for t in found if t is not None and tuple(t.shape) == node.shape]


def class_axes(constants: list[Tensor], shape: tuple[int, ...]) -> frozenset[int]:
    """Axes along which a constant of this shape is a distribution; empty where none or every one would do."""
    for constant in constants:
        if tuple(constant.shape) != shape or not constant.dtype.is_floating_point:
            continue
        axes = [i for i, size in enumerate(shape) if size > 1]
        found = frozenset(i for i in axes if float(sums_to_one(constant, i).float().mean()) >= _SHARE)
        if found and len(found) < len(axes):
            return found
    return frozenset()


def _softmax_notes(node: Node, constants: list[Tensor]) -> tuple[str, ...]:
    """What the axis of a softmax is worth beside targets that are distributions along another one."""
    dim, shape = node.option("dim"), node.shape
    if dim is None or not shape:
        return ()
    dim %= len(shape)
    if shape[dim] == 1 and node.numel > 1:
        return ("softmax-of-one" if node.op == "Softmax" else "one-output-column",)
    axes = class_axes(constants, shape)
    return ("wrong-softmax-dimension",) if axes and dim not in axes else ()


def _takes_raw_scores(part: Part) -> bool:
    """Whether scores stand where a cross-entropy or a divergence takes logarithms of probabilities.

    Either a logarithm is taken of a linear layer's output, or what is weighted by a distribution t, as in
    t·ln t - t·s, is that output or a probability. A square above a logarithm is another loss, of logarithms.
    """
    node: Node | None = part.node
    constants = [w for w in part.weights if tuple(w.shape) == part.node.shape]
    divergence = False
    for _ in range(_NODES):
        if node is None or node.op not in _LINEAR_FORM:
            break
        constants += _constants(node)
        divergence = divergence or (node.op == "Sub" and len(node.inputs) == 2 and node.inputs[0] is None)
        children = [child for child in node.inputs if child is not None]
        node = children[0] if children else None
    if node is None:
        return False
    if node.op == "Log" and part.scale < 0:
        return is_linear_layer(node.inputs[0].skip(TRANSPARENT | PICKS | {"Add"}) if node.inputs[0] else None)
    if not divergence or not class_axes(constants, part.node.shape):
        return False
    return node.op == "Softmax" or is_linear_layer(node)


def _mixes_classes(node: Node | None) -> bool:
    """Whether scores [N, C, …] were reshaped to [N·…, C] without moving the classes to the end first.

    A row then holds C neighbouring pixels of one class. Told only where the sizes leave no other reading.
    """
    for _ in range(_NODES):
        if node is None or node.op not in _PICKED:
            break
        node = node.inputs[0] if node.inputs else None
    if node is None or node.op not in _RESHAPED or node.inputs[0] is None:
        return False
    before, after = node.inputs[0].shape, node.shape
    if len(before) < 3 or len(after) != 2 or before[1] != after[1] or after[1] < 2:
        return False
    return before[-1] != after[1] and node.numel > before[0] * before[1]


def _no_distribution(part: Part) -> tuple[str, ...]:
    """Whether logarithms of a softmax are weighted by rows that are no distributions (and not all zero: left out).

    ``several-classes`` where the weights lie between 0 and 1, as those of several labels do.
    """
    node = part.node
    dim, shape = node.option("dim"), node.shape
    if node.op != "LogSoftmax" or dim is None or not shape or part.scale > 0:
        return ()
    found = [w for w in part.weights if tuple(w.shape) == shape and w.dtype.is_floating_point and w.numel()]
    if not found:
        return ()
    weights, dim = found[0], dim % len(shape)
    fits = sums_to_one(weights, dim) | (weights == 0).all(dim)
    if float(fits.float().mean()) >= _SHARE:
        return ()
    labels = len(shape) > 1 and bool(((weights >= 0) & (weights <= 1)).all())
    return ("several-classes",) if labels else ("no-distribution",)
