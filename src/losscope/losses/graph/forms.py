"""Softmax, log-softmax and activations in the forms in which people write them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.losses.graph.node import Node
from losscope.losses.graph.part import VIEWS

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
    if node.op in ("Div", "Mul") and len(node.inputs) == 2:
        return _normalised_input(node)
    return None


def _normalised_input(node: Node) -> Node | None:
    """The logits of e / Σe, also written e · (Σe)⁻¹."""
    top, bottom = node.inputs
    if top is None or bottom is None:
        return None
    bottom = strip(bottom)
    if node.op == "Mul":
        inverse = bottom.op == "Reciprocal" or (bottom.op == "Pow" and bottom.option("exponent") == -1)
        if not inverse or bottom.inputs[0] is None:
            return None
        bottom = bottom.inputs[0]
    bottom = bottom.skip(VIEWS | {"Add"})
    if bottom.op != "Sum" or bottom.inputs[0] is not top:
        return None
    return below_shift(top.inputs[0]) if top.op == "Exp" else softmax_input(top)


def below_shift(node: Node | None) -> Node | None:
    """The z of z - max(z): subtracting a row's maximum changes no softmax."""
    if node is None or node.op != "Sub":
        return node
    if len(node.inputs) == 2 and node.inputs[0] is not None:
        maximum = node.inputs[1]
        if maximum is None:
            return node.inputs[0]
        largest = strip(maximum)
        if largest.op in ("Max", "Amax") and largest.inputs[0] is node.inputs[0]:
            return node.inputs[0]
    return node


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
            # torch.distributions renormalises the probabilities that it is given
            sampled = inner.op == "Div" and inner.inputs[0] is not None and inner.inputs[0].op != "Exp"
            return LogProbabilities(node, logits, inner.option("dim"), sampled=sampled)
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
    if total.op == "Log" and total.inputs[0] is not None:  # z - log Σ exp z
        added = strip(total.inputs[0]).skip(VIEWS | {"Add"})
        exponential = added.inputs[0] if added.op == "Sum" else None
        power = exponential.inputs[0] if exponential is not None and exponential.op == "Exp" else None
        if power is not None and strip(power) is strip(scores):
            dims = added.option("dim") or (None,)
            return LogProbabilities(node, below_shift(strip(scores)), dims[0])
    if log_probabilities(scores) is not None and total.op == "Logsumexp":
        return log_probabilities(scores)
    return None


def looks_normalised(scores: Tensor, dim: int) -> bool:
    """Whether a few rows of ``scores`` are log-probabilities: Σ exp = 1 along ``dim``."""
    rows = scores.movedim(dim, -1).reshape(-1, scores.shape[dim])[:_SAMPLE_ROWS].float()
    if rows.numel() == 0 or rows.shape[1] < 2:
        return False
    return bool((torch.logsumexp(rows, 1).abs() < 1e-2).all())
