"""Where a NaN or an infinity in a loss came from.

The walk goes from the loss back towards the inputs, always to an operand that is not finite either, until
there is none: there the operation made the first one out of finite numbers, or a parameter or an input
was not finite to begin with.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from losscope.anatomy.quiet import Quiet
from losscope.losses.graph.node import Graph, Node, is_plain
from losscope.losses.graph.values import operand, operand_names, output

What = Literal["operation", "parameter", "input", "unknown"]
# Operations that write infinities on purpose, as attention masks do.
_MASKING = frozenset({"MaskedFill", "Where", "Triu", "Tril"})
# Operations that are infinite or undefined at finite arguments, in any precision.
_POLES = (
    "Log",
    "Div",
    "Reciprocal",
    "Rsqrt",
    "Sqrt",
    "Pow",
    "Acos",
    "Asin",
    "Tan",
    "Norm",
    "LinalgVectorNorm",
)
_MAX_NODES = 200_000
_NEAR = 64
_RECOMPUTED_DEPTH = 2


@dataclass(frozen=True, slots=True)
class Origin:
    """The first thing that was not finite: an operation's output, a parameter, or an input.

    ``node`` is the autograd node's name, ``parameters`` the nearest parameter tensors at or below it,
    nearest first, so that a caller who knows their names can name the layer. ``text`` is for people.
    ``overflow``: numbers of float16, whose largest is 65,504, in an operation that has no pole, or in a leaf.
    """

    node: str
    what: What
    text: str
    parameters: tuple[Tensor, ...] = ()
    overflow: bool = False


def nonfinite_origin(loss: Tensor) -> Origin | None:
    """Find the origin, ``None`` where the loss is finite or has no graph.

    Call it before ``backward()`` frees the saved tensors. Cost: one pass over every saved tensor on the
    way, which waits for the device; meant for the one step at which the loss stops being finite.
    """
    if loss.grad_fn is None or not is_plain(loss):
        return None
    graph = Graph()
    try:
        with Quiet():
            value = loss.detach()
            if bool(torch.isfinite(value).all()):
                return None
            root = graph.node(loss.grad_fn, loss.output_nr)
            root.known = value
            _expand(root)
            return _walk(root)
    finally:
        graph.close()


def _expand(root: Node) -> None:
    """Visit the whole graph once, so that every node knows its users."""
    stack, seen = [root], {root}
    while stack and len(seen) < _MAX_NODES:
        for child in stack.pop().inputs:
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)


def _walk(root: Node) -> Origin:
    node: Node = root
    visited: set[Node] = {root}
    while True:
        found = _constant_operand(node) or _next(node, visited)
        if found is None:
            return _origin(node)
        if isinstance(found, Origin):
            return found
        node = found


def _next(node: Node, visited: set[Node]) -> Node | Origin | None:
    """The nearest node below whose output is not finite, or data that is not; looks through the unknown."""
    stack = [child for child in reversed(node.inputs) if child is not None]
    while stack:
        child = stack.pop()
        if child in visited:
            continue
        visited.add(child)
        value = output(child, depth=_RECOMPUTED_DEPTH)
        if value is not None:
            if _guilty(child, value):
                return child
        elif child.leaf is None:
            found = _constant_operand(child)
            if found is not None:
                return found
            stack.extend(c for c in reversed(child.inputs) if c is not None)
    return None


def _guilty(child: Node, value: Tensor) -> bool:
    """Whether a value that is not finite explains what its user made; a mask of -inf does not."""
    if not value.dtype.is_floating_point or bool(torch.isfinite(value).all()):
        return False
    if bool(torch.isnan(value).any()):
        return True
    only_below = not bool((value == torch.inf).any())
    masked = child.op in _MASKING or (child.op == "Add" and None in child.inputs)
    return not (masked and only_below)


def _constant_operand(node: Node) -> Origin | None:
    """An operand without gradient (data, a target, a mask) that holds a NaN."""
    for position, name in enumerate(operand_names(node)):
        if position < len(node.inputs) and node.inputs[position] is not None:
            continue
        value = operand(node, position)
        if value is not None and value.dtype.is_floating_point and bool(torch.isnan(value).any()):
            return Origin(
                node.name,
                "input",
                f"the operand {name!r} {_shape(value)} of {node.name} holds {_count(value)}; it is data or a "
                "constant, not the output of the model",
                tuple(_nearest(node)),
            )
    for name in ("target", "mat1", "input", "weight"):
        value = node.saved(name) if hasattr(node.fn, "_raw_saved_" + name) else None
        plain = value is not None and value.dtype.is_floating_point and bool(torch.isnan(value).any())
        if plain and value is not None and not _is_output(node, value):
            return Origin(
                node.name,
                "input",
                f"{name} {_shape(value)} of {node.name} holds {_count(value)}",
                tuple(_nearest(node)),
            )
    return None


def _is_output(node: Node, value: Tensor) -> bool:
    """Whether a saved tensor belongs to a differentiable input, so that the walk will get there itself."""
    return any(child is not None and child.shape == tuple(value.shape) for child in node.inputs)


def _origin(node: Node) -> Origin:
    leaf = node.leaf
    if leaf is not None:
        kind = "parameter" if isinstance(leaf, torch.nn.Parameter) else "input"
        value = leaf.detach()
        return Origin(
            node.name,
            kind,
            f"a {kind} of shape {_shape(value)} holds {_count(value)}",
            (leaf,),
            _is_half(value),
        )
    value = output(node)
    made = _count(value) if value is not None else "a value that is not finite"
    inputs = [output(child, depth=_RECOMPUTED_DEPTH) for child in node.inputs if child is not None]
    known = [v for v in inputs if v is not None and v.dtype.is_floating_point and v.numel()]
    source = ""
    if known:
        low, high = (float(f([float(g(v)) for v in known])) for f, g in ((min, torch.min), (max, torch.max)))
        source = f" from operands between {low:.4g} and {high:.4g}"
    nothing = _over_nothing(node)
    shape = _shape(value) if value is not None else ""
    overflow = value is not None and _is_half(value) and not nothing and not _has_pole(node)
    text = f"{node.op} {shape} made {made}{nothing or source}"
    return Origin(node.name, "operation", text, tuple(_nearest(node)), overflow)


def _has_pole(node: Node) -> bool:
    if node.op.startswith("Pow"):
        exponent = node.option("exponent")
        return not (isinstance(exponent, int | float) and exponent > 0)
    return node.op.startswith(_POLES)


def _is_half(value: Tensor) -> bool:
    return value.dtype == torch.float16


def _over_nothing(node: Node) -> str:
    """Where a mean has nothing to average: an empty selection, or targets that are all ignored."""
    if any(child is not None and child.numel == 0 for child in node.inputs):
        return ": it averages over an empty selection"
    if not node.op.startswith("NllLoss"):
        return ""
    target, ignored = node.saved("target"), node.option("ignore_index")
    if target is not None and isinstance(ignored, int) and bool((target == ignored).all()):
        return f": every target equals ignore_index={ignored}"
    return ""


def _nearest(node: Node) -> list[Tensor]:
    """Parameters below ``node``, nearest first, at most two levels of them."""
    level, seen, found = [node], {node}, []
    while level and len(seen) < _NEAR and len(found) < 2:
        following = []
        for current in level:
            leaf = current.leaf
            if leaf is not None:
                found.append(leaf)
            following.extend(c for c in current.inputs if c is not None and c not in seen)
            seen.update(following)
        level = following
    return found


def _count(value: Tensor) -> str:
    nan, inf = int(torch.isnan(value).sum()), int(torch.isinf(value).sum())
    parts = [f"{n} {word}" for n, word in ((nan, "NaN"), (inf, "inf")) if n]
    return f"{' and '.join(parts) or 'only finite values'} of {value.numel()}"


def _shape(value: Tensor) -> str:
    return f"[{','.join(str(s) for s in value.shape)}]"
