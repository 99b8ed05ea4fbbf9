"""The layers below a loss as its graph holds them: silent and saturated units, modes of batch normalisation, inputs.

Everything is read from tensors that autograd saved for the backward pass; no forward pass is run and nothing is
attached to the user's modules. What checkpointing or offloading would have to compute again, and what ``torch.func``
or a compiler wraps, is passed over (``Node.saved``). Only small tensors are kept: one truth value per unit, or a few
numbers per layer.

Cost: about a microsecond per node of the graph, a few reductions over at most ``_LIMIT`` elements for each of at most
``_MOST`` layers of a kind; no synchronisation.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.losses.graph.node import Graph, Node, is_plain, split_name

_MOST = 32  # layers of a kind that are read, evenly spaced where there are more
_LIMIT = 1 << 18  # elements of one activation that are looked at
_FEATURES = 1 << 12  # features of a data input whose moments are kept
_RECTIFIERS = frozenset({"Relu", "Threshold"})
_SQUASHERS: dict[str, Callable[[Tensor], Tensor]] = {
    "Tanh": lambda y: 1 - y.square(),
    "Sigmoid": lambda y: 4 * y * (1 - y),
}
"""Derivative by its largest value, from the result."""
_FLAT = 0.01  # of the largest derivative: below it counts as none
_NEARLY_ALL = 0.95  # of the entries of a unit
_BATCH_NORMS = frozenset({"NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm", "BatchNormWithUpdate"})
_LINEAR = frozenset({"Addmm", "Mm", "Linear"})
_CONVOLUTION = frozenset({"Convolution", "ConvolutionOverrideable", "MkldnnConvolution", "CudnnConvolution"})
_INPUT_NAMES = {"Addmm": "mat1", "Mm": "self"}
_KEEPS_LAST = frozenset({"View", "UnsafeView", "ReshapeAlias", "NativeLayerNorm"})
_KEEPS_CHANNELS = frozenset({"MaxPool2DWithIndices", "AvgPool2D", *_BATCH_NORMS, "NativeGroupNorm"})
_LOOK_BELOW = 8


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Units of one activation: ``silent`` [units] true where the derivative is 0 for all samples, or ``saturated``, the
    share of units whose derivative is near zero for nearly all samples. ``axis`` is that of the units in ``weight``."""

    weight: Tensor
    axis: int
    silent: Tensor | None = None
    saturated: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """One batch normalisation with trained scale and shift: its mode, and the number of samples.

    ``untouched``: the running statistics that it used are those that it was made with.
    """

    weight: Tensor
    training: bool
    samples: int
    untouched: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LayerInput:
    """The input of a linear layer or convolution: root mean square, and of data (no gradient) moments per feature."""

    weight: Tensor
    rms: Tensor
    mean: Tensor | None = None
    deviation: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """What was read below one loss, layers near the loss first."""

    units: tuple[Units, ...] = ()
    norms: tuple[Norm, ...] = ()
    inputs: tuple[LayerInput, ...] = ()


def layers_below(loss: Tensor) -> Layers:
    """Read the layers of the graph of ``loss`` before its backward pass frees them, with autograd switched off."""
    captured = loss.is_cuda and torch.cuda.is_current_stream_capturing()
    if loss.grad_fn is None or captured or not is_plain(loss):
        return Layers()
    graph = Graph()
    try:
        last, nodes = _interesting(loss.grad_fn)
        found = [graph.node(fn, 0) for fn in nodes]
        active = [n for n in found if n.op in _RECTIFIERS or (n.op in _SQUASHERS and n.fn not in last)]
        units = [u for n in _some(active) if (u := _units(n)) is not None]
        norms = [m for n in found if n.op in _BATCH_NORMS and (m := _norm(n)) is not None]
        weighed = _some([n for n in found if n.op in _LINEAR or n.op in _CONVOLUTION])
        inputs = [i for n in weighed if (i := _input(n)) is not None]
        return Layers(tuple(units), tuple(norms), tuple(inputs))
    finally:
        graph.close()


def _interesting(root: Any) -> tuple[set[Any], list[Any]]:
    """(nodes between the last layers with weights and the loss, nodes of the kinds that are read), nearest first."""
    wanted = _RECTIFIERS | set(_SQUASHERS) | _BATCH_NORMS | _LINEAR | _CONVOLUTION
    last = dict.fromkeys([root])
    every = dict.fromkeys([root])
    for found, stops in ((last, _LINEAR | _CONVOLUTION), (every, frozenset[str]())):
        level = [root]
        while level:
            passed = [fn for fn in level if not stops or _kind(fn) not in stops]
            below = dict.fromkeys(c for fn in passed for c, _ in fn.next_functions if c is not None)
            level = [child for child in below if child not in found]
            found.update(dict.fromkeys(level))
    return set(last), [fn for fn in every if _kind(fn) in wanted]


def _kind(fn: Any) -> str:
    return split_name(fn.name())[0]


def _some(nodes: Sequence[Node]) -> Sequence[Node]:
    return nodes[:: -(-len(nodes) // _MOST) or 1]


def _units(node: Node) -> Units | None:
    result = node.saved("result")
    found = _weight_below(node)
    if result is None or found is None or not result.numel() or not result.dtype.is_floating_point:
        return None
    weight, axis, channels = found
    values = _by_unit(result, channels)
    if values is None or values.shape[0] != weight.shape[axis]:
        return None
    if node.op in _RECTIFIERS:
        return Units(weight, axis, silent=~(values > 0).any(1))
    flat = (_SQUASHERS[node.op](values.float()) < _FLAT).float().mean(1) >= _NEARLY_ALL
    return Units(weight, axis, saturated=flat.float().mean())


def _by_unit(result: Tensor, channels: bool) -> Tensor | None:
    """[units, samples]: the axis of the units first, of the other axes an evenly spaced part."""
    if result.ndim < 2:
        return None
    if not channels:
        rows = result.flatten(0, -2)
        return rows[:: -(-result.numel() // _LIMIT)].T
    for axis in range(result.ndim - 1, 1, -1):  # thinned in space: every sample counts
        stride = -(-result.numel() // _LIMIT)
        result = result[(slice(None),) * axis + (slice(None, None, min(stride, result.shape[axis])),)]
    return result.movedim(1, 0).flatten(1)


def _weight_below(node: Node) -> tuple[Tensor, int, bool] | None:
    """(weight, axis of its units, whether units are channels) of the layer that makes the input of an activation."""
    channels = False
    for below in _single_way(node):
        if below.op in _CONVOLUTION:
            leaf = _leaf(below, 1)
            transposed = bool(below.option("transposed", False))
            if leaf is None or (transposed and below.option("groups", 1) != 1):
                return None
            return leaf, int(transposed), True
        if below.op in _LINEAR:
            found = _linear_weight(below)
            if found is None or (channels and len(node.shape) != 2):
                return None  # the second axis of [N, C] is the last one
            return (*found, False)
        channels = channels or below.op in _KEEPS_CHANNELS
    return None


def _single_way(node: Node) -> Iterator[Node]:
    """Nodes below an activation up to the layer that it belongs to; of a sum, the branch that was added to it."""
    current: Node | None = node
    for _ in range(_LOOK_BELOW):
        inputs = [] if current is None else [i for i in current.inputs if i is not None]
        if current is not node and current is not None and current.op == "Add":
            inputs = [i for i in inputs if i.op != "leaf"] or inputs
        if not inputs:
            return
        current = inputs[0]
        known = _CONVOLUTION | _LINEAR | _KEEPS_CHANNELS | _KEEPS_LAST | {"Add"}
        if current.op not in known:
            return
        yield current


def _linear_weight(node: Node) -> tuple[Tensor, int] | None:
    """(weight, axis of the units) of a matrix product: of ``weight.t()`` 0, of a matrix as it stands 1."""
    right = node.inputs[-1]
    if right is None:
        return None
    if right.op == "leaf" and right.leaf is not None:
        return right.leaf, 1
    below = right.inputs[0] if right.op == "T" and right.inputs else None
    return (below.leaf, 0) if below is not None and below.leaf is not None else None


def _leaf(node: Node, position: int) -> Tensor | None:
    child = node.inputs[position] if position < len(node.inputs) else None
    return child.leaf if child is not None else None


def _norm(node: Node) -> Norm | None:
    weight, training = _leaf(node, 1), node.option("training")
    if weight is None or training is None or not node.shape:
        return None
    untouched = None
    if not training:
        mean, variance = node.saved("running_mean"), node.saved("running_var")
        if mean is not None and variance is not None:
            untouched = (mean == 0).all() & (variance == 1).all()
    return Norm(weight, bool(training), int(node.shape[0]), untouched)


def _input(node: Node) -> LayerInput | None:
    """The moments of what a layer multiplies its weight with."""
    convolves = node.op in _CONVOLUTION
    found = (_leaf(node, 1), 0) if convolves else _linear_weight(node)
    value = node.saved(_INPUT_NAMES.get(node.op, "input"))
    if found is None or found[0] is None or value is None or value.ndim < 2 or not value.numel():
        return None
    if not value.dtype.is_floating_point:
        return None
    of_features = _by_unit(value, convolves)
    if of_features is None:
        return None
    wide = of_features.float()
    rms = wide.square().mean().sqrt()
    source = node.inputs[0] if convolves else node.inputs[-2]
    if source is not None or value.shape[0] < 2 or wide.shape[0] > _FEATURES:
        return LayerInput(found[0], rms)
    deviation, mean = torch.std_mean(wide, 1, correction=0)
    return LayerInput(found[0], rms, mean, deviation)
