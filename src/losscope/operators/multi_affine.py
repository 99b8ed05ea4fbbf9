"""Whether predictions are, piece by piece, linear in each parameter tensor alone: read off the autograd graph.

A network of linear maps, convolutions, sums, and piecewise-linear activations (ReLU, leaky ReLU, max-pooling, dropout
with a fixed mask, batch normalisation in evaluation mode) is linear in each weight while the others and the linear
pieces stay as they are. Then ∂²f/∂w² = 0 for every single weight w, and the trace of the Hessian is that of the
Gauss-Newton matrix, although the rest of ∇²f is not 0.

Every node carries the set of parameters that it depends on. A product keeps the property if its factors share no
parameter: weights that are tied, recurrent or multiplied with themselves lose it, and so does every operation that is
not known to be piecewise linear. The operations are what ran, not the names of modules.
"""

import re
from collections.abc import Iterable
from typing import Any

from torch import Tensor

_LINEAR = set(
    [
        "View",
        "UnsafeView",
        "Reshape",
        "ReshapeAlias",
        "T",
        "Transpose",
        "Permute",
        "Expand",
        "Sum",
        "Mean",
        "Add",
        "Sub",
        "Neg",
        "Slice",
        "Select",
        "Cat",
        "Stack",
        "Squeeze",
        "Unsqueeze",
        "Clone",
        "ToCopy",
        "Alias",
        "AsStrided",
        "Index",
        "IndexSelect",
        "Gather",
        "Embedding",
        "ConstantPadNd",
        "AvgPool1D",
        "AvgPool2D",
        "AvgPool3D",
        "AdaptiveAvgPool1D",
        "AdaptiveAvgPool2D",
        "AdaptiveAvgPool3D",
        "Split",
        "SplitWithSizes",
        "Unbind",
        "Repeat",
        "Roll",
        "Flip",
        "Cumsum",
        "UpsampleNearest1D",
        "UpsampleNearest2D",
        "UpsampleNearest3D",
        "UpsampleBilinear2D",
        "UpsampleLinear1D",
        "Im2Col",
        "Col2Im",
        "PixelShuffle",
        "PixelUnshuffle",
        "Unfold",
        "Diagonal",
        "Trace",
        "Tril",
        "Triu",
        "Detach",
        "Contiguous",
        "Identity",
        "Movedim",
        "Swapaxes",
        "ReflectionPad1D",
        "ReflectionPad2D",
        "ReplicationPad2D",
        "Narrow",
        "RepeatInterleave",
        "Scatter",
        "ScatterAdd",
        "IndexAdd",
    ]
)
_PIECEWISE = set(
    [
        "Relu",
        "LeakyRelu",
        "Threshold",
        "Hardtanh",
        "Abs",
        "MaxPool2DWithIndices",
        "MaxPool3DWithIndices",
        "AdaptiveMaxPool2D",
        "Max",
        "Amax",
        "Min",
        "Amin",
        "Clamp",
        "ClampMin",
        "ClampMax",
        "Where",
        "Maximum",
        "Minimum",
        "MaskedFill",
        "NativeDropout",
        "Softshrink",
        "Hardshrink",
        "Hardsigmoid",
        "Sort",
        "Topk",
        "RreluWithNoise",
    ]
)
_PRODUCTS = set(["Mul", "Mm", "Bmm", "Mv", "Dot", "PreluKernel"])
_SUM_AND_PRODUCT = set(["Addmm", "Baddbmm", "Addmv", "Addbmm", "Addcmul"])


def piecewise(node: str) -> bool:
    """Whether an operation, by the name of its node, has kinks or jumps."""
    return re.sub(r"Backward\d+$", "", node) in _PIECEWISE


def offender(predictions: Iterable[Tensor]) -> str | None:
    """The first operation by which predictions are not linear in one parameter; ``None`` where all are."""
    dependence: dict[Any, int] = {}
    numbers: dict[int, int] = {}
    for prediction in predictions:
        if prediction.grad_fn is None:
            continue
        for node in _inputs_first(prediction.grad_fn):
            name = re.sub(r"Backward\d+$", "", node.name())
            if name.endswith("AccumulateGrad"):
                dependence[node] = 1 << numbers.setdefault(id(node.variable), len(numbers))
                continue
            factors = [0 if n is None else dependence[n] for n, _ in node.next_functions]
            if not _keeps(name, node, factors):
                return name
            dependence[node] = 0
            for factor in factors:
                dependence[node] |= factor
    return None


def _keeps(name: str, node: Any, factors: list[int]) -> bool:
    """Whether an operation on inputs that depend on these parameters (bits) is linear in each."""
    if name in _LINEAR or name in _PIECEWISE:
        return True
    if name in _PRODUCTS:
        return _disjoint(factors)
    if name in _SUM_AND_PRODUCT:
        return _disjoint(factors[1:])
    if name == "Convolution":
        return _disjoint(factors[:2])
    if name == "Div":
        return len(factors) < 2 or not factors[1]
    if name in ("NativeBatchNorm", "CudnnBatchNorm"):
        return not getattr(node, "_saved_training", True) and _disjoint(factors[:2])
    return False


def _disjoint(factors: list[int]) -> bool:
    seen = 0
    for factor in factors:
        if seen & factor:
            return False
        seen |= factor
    return True


def _inputs_first(root: Any) -> list[Any]:
    """All nodes below one, each after what it is computed from."""
    order: list[Any] = []
    seen, pending = set(), [(root, False)]
    while pending:
        node, ready = pending.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            pending.append((node, True))
            pending += [(n, False) for n, _ in node.next_functions if n is not None and n not in seen]
    return order
