"""ln σ(s) in the forms in which people write it."""

from typing import NamedTuple

from losscope.losses.graph.forms import TRANSPARENT
from losscope.losses.graph.node import Node
from losscope.losses.graph.values import output

OPS = ("LogSigmoid", "Softplus", "Log")
_CHECKED = 64


class LogSigmoid(NamedTuple):
    """``sign`` · ln σ(``direction`` · ``scores``)."""

    scores: Node
    direction: float
    sign: float


def log_sigmoid(node: Node) -> LogSigmoid | None:
    """Recognise ``logsigmoid(s)``, ``softplus(-s)``, ``log(sigmoid(s))`` and ``log(1 - sigmoid(s))``."""
    inner = node.inputs[0] if node.inputs else None
    if inner is None:
        return None
    if node.op == "LogSigmoid":
        return LogSigmoid(inner, 1.0, 1.0)
    if node.op == "Softplus":
        return LogSigmoid(inner, -1.0, -1.0) if node.option("beta", 1) == 1 else None
    inner = inner.skip(TRANSPARENT | {"Add"}) if node.op == "Log" else inner
    if node.op == "Log" and inner.op == "Sigmoid" and inner.inputs[0] is not None:
        return LogSigmoid(inner.inputs[0], 1.0, 1.0)
    if node.op == "Log" and inner.op in ("Rsub", "Sub"):
        return _of_complement(node, inner)
    return None


def _of_complement(node: Node, difference: Node) -> LogSigmoid | None:
    """ln(1 - σ(s)); autograd does not keep the 1, so a few elements are looked at."""
    present = [i for i in difference.inputs if i is not None]
    sigmoid = present[0].skip(TRANSPARENT) if len(present) == 1 else None
    if sigmoid is None or sigmoid.op != "Sigmoid" or sigmoid.inputs[0] is None:
        return None
    probability, complement = output(sigmoid), node.saved("self")
    if probability is None or complement is None or probability.numel() != complement.numel():
        return None
    total = probability.reshape(-1)[:_CHECKED].float() + complement.reshape(-1)[:_CHECKED].float()
    return LogSigmoid(sigmoid.inputs[0], -1.0, 1.0) if bool(((total - 1).abs() < 1e-2).all()) else None
