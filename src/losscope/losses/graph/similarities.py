"""A cross-entropy over the samples of a batch: logits are cosines of N queries with N keys, the i-th is for the i-th.

``F.cross_entropy(normalize(q) @ normalize(k).T / τ, torch.arange(N))`` is how most people write InfoNCE. Products of
vectors that do not have length 1 are scores of another kind: their cross-entropy stays a cross-entropy.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.losses.graph.forms import log_probabilities
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import VIEWS
from losscope.losses.graph.steps import constant_factor
from losscope.losses.graph.values import output

_TRANSPOSED = VIEWS | {"T", "Transpose", "Permute"}
_FACTORS = 4  # between the product and the softmax: a temperature, a learned scale
_PRECISION = {torch.float64: 1e-6, torch.float32: 1e-4}
_COARSE = 2e-2  # of lengths in half precision


@dataclass(frozen=True, slots=True)
class Similarities:
    """``logits`` [N, N], and the temperature where it is a constant."""

    logits: Node
    temperature: float | None


def similarities(nll: Node) -> Similarities | None:
    """What an ``nll_loss`` judges, where that is the cosines of a batch with itself or with another one."""
    found = log_probabilities(nll.inputs[0])
    target = nll.saved("target")
    if found is None or found.logits is None or target is None or nll.saved("weight") is not None:
        return None
    shape = found.logits.shape
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 2 or tuple(target.shape) != shape[:1]:
        return None
    product, temperature = _product(found.logits)
    if product is None or not _are_cosines(product):
        return None
    if not bool((target == torch.arange(shape[0], device=target.device)).all()):
        return None
    return Similarities(found.logits, temperature)


def _product(logits: Node) -> tuple[Node | None, float | None]:
    """The matrix product below constant factors, and one over their product; a learned factor is no constant."""
    node, scale = logits.skip(_TRANSPOSED), 1.0
    known = True
    for _ in range(_FACTORS):
        if node.op in ("Mm", "Bmm"):
            temperature = float(f"{1 / scale:.6g}") if known and scale > 0 else None
            return node, temperature
        if node.op not in ("Mul", "Div"):
            return None, None
        factor = constant_factor(node)
        if factor is None or isinstance(factor[1], Tensor) or factor[1] == 0:
            return None, None
        position, number = factor
        known = known and sum(child is not None for child in node.inputs) == 1
        scale = scale * number if node.op == "Mul" else scale / number
        below = node.inputs[position]
        if below is None:
            return None, None
        node = below.skip(_TRANSPOSED)
    return None, None


def _are_cosines(product: Node) -> bool:
    """Whether the vectors on both sides, as far as autograd keeps them, have length 1; one side must be kept."""
    kept = [(_operand(product, 0), -1), (_operand(product, 1), -2)]
    sides = [(value, axis) for value, axis in kept if value is not None]
    return bool(sides) and all(_are_units(value, axis) for value, axis in sides)


def _operand(product: Node, position: int) -> Tensor | None:
    saved = product.saved(("self", "mat2")[position])
    if saved is not None:
        return saved
    node = product.inputs[position] if position < len(product.inputs) else None
    return output(node) if node is not None else None


def _are_units(vectors: Tensor, axis: int) -> bool:
    lengths = torch.linalg.vector_norm(vectors.float() if vectors.element_size() < 4 else vectors, dim=axis)
    return bool(((lengths - 1).abs() <= _PRECISION.get(vectors.dtype, _COARSE)).all())
