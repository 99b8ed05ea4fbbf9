"""Shapes that many losses share: log-probabilities, residuals, squares, and what feeds a loss."""

from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.losses.graph.node import Node
from losscope.losses.graph.part import VIEWS
from losscope.losses.graph.values import operand, output

# Operations that a reader of the objective would not call a layer.
TRANSPARENT = VIEWS | {"Clamp", "ClampMin", "ClampMax"}
ACTIVATIONS = {
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Relu": "relu",
    "Threshold": "relu",
    "Tanh": "tanh",
    "LogSigmoid": "log_sigmoid",
    "Softplus": "softplus",
    "Gelu": "gelu",
    "Silu": "silu",
    "Elu": "elu",
    "LeakyRelu": "leaky_relu",
    "Hardtanh": "hardtanh",
    "Hardsigmoid": "hardsigmoid",
    "Hardswish": "hardswish",
    "Exp": "exp",
    "Log": "log",
    "Sin": "sin",
}
_SAMPLE_ROWS = 4


def strip(node: Node) -> Node:
    """Skip views, copies and casts."""
    return node.skip(VIEWS)


def activation(node: Node | None) -> str | None:
    """The activation function that made ``node``'s output, ``None`` for a linear layer or anything else."""
    if node is None:
        return None
    node = node.skip(TRANSPARENT)
    if is_softmax(node):
        return "softmax"
    if _is_hand_written_sigmoid(node):
        return "sigmoid"
    return ACTIVATIONS.get(node.op)


def _is_hand_written_sigmoid(node: Node) -> bool:
    """1 / (1 + exp(-x))."""
    if node.op == "Mul" and node.inputs[0] is not None:
        node = node.inputs[0]
    if node.op not in ("Reciprocal", "Pow") or node.inputs[0] is None:
        return False
    added = node.inputs[0]
    if added.op != "Add" or len([i for i in added.inputs if i is not None]) != 1:
        return False
    exponential = next(i for i in added.inputs if i is not None)
    return exponential.op == "Exp" and exponential.inputs[0] is not None and exponential.inputs[0].op == "Neg"


def is_softmax(node: Node) -> bool:
    """A softmax, also one written as exp / sum exp or renormalised."""
    return softmax_input(node) is not None


def softmax_input(node: Node) -> Node | None:
    """The logits of a softmax."""
    node = node.skip(TRANSPARENT)
    if node.op == "Softmax":
        return node.inputs[0]
    if node.op == "Exp" and node.inputs[0] is not None and node.inputs[0].op == "LogSoftmax":
        return node.inputs[0].inputs[0]
    if node.op == "Div" and len(node.inputs) == 2:
        top, bottom = node.inputs
        bottom = bottom.skip(VIEWS | {"Add"}) if bottom is not None else None
        if top is None or bottom is None or bottom.op != "Sum" or bottom.inputs[0] is not top:
            return None
        return top.inputs[0] if top.op == "Exp" else softmax_input(top)
    return None


@dataclass(frozen=True, slots=True)
class LogProbabilities:
    """Log-probabilities, the scores they came from, and the axis over which they are normalised."""

    node: Node
    logits: Node | None
    dim: int | None
    sampled: bool = False  # the form that torch.distributions makes


def log_probabilities(node: Node | None) -> LogProbabilities | None:
    """Recognise log-softmax in its many forms, ``None`` where nothing shows that the output is one."""
    if node is None:
        return None
    node = strip(node)
    if node.op == "LogSoftmax":
        return LogProbabilities(node, node.inputs[0], node.option("dim"))
    if node.op == "Log" and node.inputs[0] is not None:
        inner = node.inputs[0].skip(TRANSPARENT | {"Add"})
        logits = softmax_input(inner)
        if logits is not None:
            renormalised = inner.op == "Div"
            return LogProbabilities(node, logits, inner.option("dim"), sampled=renormalised)
        return None
    if node.op == "Sub" and len(node.inputs) == 2 and None not in node.inputs:
        return _shifted(node)
    return None


def _shifted(node: Node) -> LogProbabilities | None:
    """z - logsumexp(z)."""
    scores, normaliser = node.inputs
    assert scores is not None and normaliser is not None
    total = strip(normaliser)
    if total.op == "Logsumexp" and total.inputs[0] is not None and strip(total.inputs[0]) is strip(scores):
        dims = total.option("dim") or (None,)
        return LogProbabilities(node, scores, dims[0], sampled=True)
    if log_probabilities(scores) is not None and total.op == "Logsumexp":
        return log_probabilities(scores)
    return None


def looks_normalised(scores: Tensor, dim: int) -> bool:
    """Whether a few rows of ``scores`` are log-probabilities: Σ exp = 1 along ``dim``."""
    rows = scores.movedim(dim, -1).reshape(-1, scores.shape[dim])[:_SAMPLE_ROWS].float()
    if rows.numel() == 0 or rows.shape[1] < 2:
        return False
    return bool((torch.logsumexp(rows, 1).abs() < 1e-2).all())


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
            return Residual(node, *_sides(present[0], present[1]))
        return Residual(node, present[0], None, constant_target=len(node.inputs) == 1)
    if node.op == "Add" and len(node.inputs) == 2:  # -y + f(x), eps inside pairwise distances
        present = [i for i in node.inputs if i is not None]
        if len(present) == 1 and present[0].op == "Neg":
            return Residual(node, present[0].inputs[0], None)
    return None


def _sides(first: Node, second: Node) -> tuple[Node, Node]:
    """Prediction and target of a difference of two tensors that both need a gradient."""
    return first, second


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
