"""The output of a node, where it can be had from what autograd saved.

Looked for in this order: an operand that a consumer saved, the node's own saved result, a leaf, and last
a recomputation from the outputs of the node's inputs. Only deterministic, cheap operations are
recomputed; anything else (matrix products, dropout, a model) is unknown, ``None``.
"""

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from losscope.losses.graph.node import Node

aten = torch.ops.aten

# How to recompute an operation, by its node's name. Arguments are taken by the name they have in the
# operator's schema: saved numbers and tensors, else the inputs of the node in order.
_RECOMPUTED: dict[str, Callable] = {
    "Add0": aten.add.Tensor,
    "Sub0": aten.sub.Tensor,
    "Mul0": aten.mul.Tensor,
    "Mul1": aten.mul.Scalar,
    "Div0": aten.div.Tensor,
    "Div1": aten.div.Scalar,
    "Neg0": aten.neg.default,
    "Abs0": aten.abs.default,
    "Pow0": aten.pow.Tensor_Scalar,
    "Exp0": aten.exp.default,
    "Log0": aten.log.default,
    "Log1P0": aten.log1p.default,
    "Sqrt0": aten.sqrt.default,
    "Rsqrt0": aten.rsqrt.default,
    "Reciprocal0": aten.reciprocal.default,
    "Cosh0": aten.cosh.default,
    "Relu0": aten.relu.default,
    "Tanh0": aten.tanh.default,
    "Sigmoid0": aten.sigmoid.default,
    "LogSigmoid0": aten.log_sigmoid.default,
    "Softplus0": aten.softplus.default,
    "Clamp0": aten.clamp.Tensor,
    "Clamp1": aten.clamp.default,
    "ClampMin0": aten.clamp_min.default,
    "ClampMax0": aten.clamp_max.default,
    "Maximum0": aten.maximum.default,
    "Minimum0": aten.minimum.default,
    "Sum0": aten.sum.default,
    "Sum1": aten.sum.dim_IntList,
    "Mean0": aten.mean.default,
    "Mean1": aten.mean.dim,
    "Logsumexp0": aten.logsumexp.default,
    "Gather0": aten.gather.default,
    "MseLoss0": aten.mse_loss.default,
    "SmoothL1Loss0": aten.smooth_l1_loss.default,
    "HuberLoss0": aten.huber_loss.default,
    "SoftMarginLoss0": aten.soft_margin_loss.default,
    "MultiMarginLoss0": aten.multi_margin_loss.default,
    "MultilabelMarginLoss0": aten.multilabel_margin_loss.default,
    "BinaryCrossEntropy0": aten.binary_cross_entropy.default,
    "BinaryCrossEntropyWithLogits0": aten.binary_cross_entropy_with_logits.default,
    "NllLoss0": aten.nll_loss.default,
    "NllLoss2D0": aten.nll_loss2d.default,
    "LinalgVectorNorm0": aten.linalg_vector_norm.default,
    "Norm0": aten.norm.Scalar,
    "Norm1": aten.norm.ScalarOpt_dim,
    "Dot0": aten.dot.default,
    "T0": aten.t.default,
    "Transpose0": aten.transpose.int,
    "Select0": aten.select.int,
    "Slice0": aten.slice.Tensor,
    "Xlogy0": aten.xlogy.Tensor,
    "MaskedSelect0": aten.masked_select.default,
    "LogSoftmax0": aten.log_softmax.int,
    "Softmax0": aten.softmax.int,
}
# A small last layer, such as a critic's, is worth recomputing; a language model's head is not.
_SMALL_LAYERS: dict[str, Callable] = {"Addmm0": aten.addmm.default, "Mm0": aten.mm.default}
_RECOMPUTED |= _SMALL_LAYERS
_SMALL = 1 << 14
_RESHAPES = frozenset({"View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze"})
_IDENTITIES = frozenset({"Clone", "Alias", "ToCopy", "ViewAs", "Contiguous"})
_EXTRA_OPTIONS = {"ord": 2, "p": 2, "alpha": 1, "reduction": 1, "min": None, "max": None}
_DEPTH = 40


@cache
def _schema(key: str) -> tuple[tuple[str, bool, object], ...]:
    """(name, is a tensor, default) of each argument of the operator that recomputes ``key``."""
    arguments = _RECOMPUTED[key]._schema.arguments  # type: ignore[attr-defined]
    return tuple((a.name, "Tensor" in str(a.type), a.default_value) for a in arguments if a.name != "dtype")


def operand_names(node: Node) -> tuple[str, ...]:
    """Names of the differentiable inputs of a node, in the order of ``node.inputs``, where known."""
    key = f"{node.op}{node.variant}"
    if key not in _RECOMPUTED:
        return ("self",) if len(node.inputs) == 1 else ()
    names = tuple(name for name, is_tensor, _ in _schema(key) if is_tensor)
    return names[: len(node.inputs)]


def operand(node: Node, position: int) -> Tensor | None:
    """Input ``position`` of ``node`` as the node saved it, constants included."""
    names = operand_names(node)
    return node.saved(names[position]) if position < len(names) else None


def output(node: Node, depth: int = _DEPTH) -> Tensor | None:
    """The value of a node's output, or ``None``. Runs no operation that a graph or a hook could see."""
    if node.known is not ...:
        return node.known
    value = _from_users(node)
    if value is None and node.index == 0:
        value = node.saved("result")
    if value is None and node.op == "leaf":
        leaf = node.leaf
        value = leaf.detach() if leaf is not None and _is_plain_leaf(leaf) else None
    if value is None and depth > 0:
        value = _recomputed(node, depth)
    if value is not None and node.shape != tuple(value.shape):
        value = None
    node.known = value
    return value


def _is_plain_leaf(leaf: Tensor) -> bool:
    return type(leaf) in (Tensor, torch.nn.Parameter) and leaf.layout is torch.strided and not leaf.is_meta


def _from_users(node: Node) -> Tensor | None:
    for user, position in node.users:
        value = operand(user, position)
        if value is not None and tuple(value.shape) == node.shape:
            return value
    return None


def _recomputed(node: Node, depth: int) -> Tensor | None:
    inputs = [None if i is None else output(i, depth - 1) for i in node.inputs]
    return apply(node, inputs)


def apply(node: Node, inputs: Sequence[Tensor | None]) -> Tensor | None:
    """What ``node`` makes of ``inputs`` (``None`` = take the operand that it saved, if it did)."""
    if node.op in _IDENTITIES:
        value = inputs[0]
        return value if value is None or node.dtype is None else value.to(node.dtype)
    if node.op in _RESHAPES or node.op == "Expand":
        return _reshaped(node, inputs[0])
    if node.op in ("Stack", "Cat"):
        if any(value is None for value in inputs):
            return None
        join = torch.stack if node.op == "Stack" else torch.cat
        return join(list(inputs), node.option("dim", 0))  # type: ignore[arg-type]
    key = f"{node.op}{node.variant}"
    if key in _RECOMPUTED and not (key in _SMALL_LAYERS and node.numel > _SMALL):
        arguments = _arguments(node, key, inputs)
        if arguments is not None:
            try:
                return _RECOMPUTED[key](**arguments)
            except (RuntimeError, TypeError, IndexError, ValueError):
                node.graph.notes.add("recomputation-failed")
    return None


def _reshaped(node: Node, value: Tensor | None) -> Tensor | None:
    if value is None:
        return None
    return value.expand(node.shape) if node.op == "Expand" else value.reshape(node.shape)


def _arguments(node: Node, key: str, inputs: Sequence[Tensor | None]) -> dict[str, object] | None:
    """Keyword arguments for the operator, or ``None`` where an operand is unknown."""
    arguments: dict[str, object] = {}
    position = 0
    for name, is_tensor, default in _schema(key):
        if not is_tensor:
            if name == "beta" and not hasattr(node.fn, "_saved_beta"):
                continue
            if hasattr(node.fn, "_saved_" + name):
                arguments[name] = node.option(name)
            elif default is None and name not in _EXTRA_OPTIONS:
                return None  # a constant that autograd had no need to save
            continue
        given = inputs[position] if position < len(inputs) else None
        position += 1
        value = given if given is not None else node.saved(name)
        if value is None and name not in ("weight", "pos_weight", "min", "max"):
            return None
        arguments[name] = value
    return arguments
