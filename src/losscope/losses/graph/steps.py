"""One linear step down an objective's graph, for each linear operation.

A step turns a part at a node into parts at the node's inputs, and moves what the node does (a factor, a
mean, a mask) into the part's account. It answers ``None`` where the node is not linear in its inputs,
for instance a product of two tensors that both need a gradient.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from losscope.losses.graph.node import Node
from losscope.losses.graph.part import COPIES, PICKS, VIEWS, Part
from losscope.losses.graph.values import operand

Step = Callable[[Part], "list[Part] | None"]
_SMALL = 64  # weights of a stack of losses: few enough to be read one by one
_SCALAR_NODES = 12


def _down(part: Part, position: int, **changes: Any) -> Part:
    node = part.node
    child = node.inputs[position]
    assert child is not None
    if not part.route:
        if node.numel == 1 and child.numel == 1:
            return part._replace(node=child, **changes)
        return part._replace(node=child, route=((node, position),), head=part.scale, **changes)
    return part._replace(node=child, route=(*part.route, (node, position)), **changes)


def _repeated(part: Part, node: Node) -> Part:
    """Account for an operand (now ``part.node``) that ``node`` broadcasts over its elements."""
    child = part.node
    if child.numel in (0, node.numel):
        return part
    scale, weights = part.scale, part.weights
    if weights:
        product = weights[0]
        for weight in weights[1:]:
            product = product * weight
        product = product.expand(node.shape).sum_to_size(child.shape)
        weights = (product,)
    else:
        scale *= node.numel / child.numel
    if child.numel > 1:
        return part._replace(scale=scale, weights=weights)
    if weights:
        scale, weights = scale * float(weights[0]), ()
    return part._replace(
        scale=scale, weights=weights, averaged=1, means=0, sums=0, divisors=(), anchor=None, picks=()
    )


def _present(node: Node) -> list[int]:
    return [i for i, child in enumerate(node.inputs) if child is not None]


def add(part: Part) -> list[Part]:
    """Add, Sub and Rsub, with ``alpha``."""
    node = part.node
    alpha = float(node.option("alpha", 1))
    second = {"Add": alpha, "Sub": -alpha, "Rsub": 1.0}[node.op]
    factors = (-alpha if node.op == "Rsub" else 1.0, second)
    return [_repeated(_down(part, i, scale=part.scale * factors[i]), node) for i in _present(node)]


def negate(part: Part) -> list[Part]:
    return [_down(part, 0, scale=-part.scale)]


def as_number(value: object) -> float | None:
    """A real Python number or a real one-element tensor as a float."""
    if isinstance(value, Tensor):
        return float(value) if value.numel() == 1 and not value.is_complex() else None
    return float(value) if isinstance(value, int | float) else None


def constant_factor(node: Node) -> tuple[int, Tensor | float] | None:
    """(position of the differentiable input, constant) of a product or quotient by a constant."""
    if node.variant == 1 and node.op in ("Mul", "Div"):
        number = as_number(node.option("other"))
        return None if number is None else (0, number)
    position = _loss_side(node)
    if position is None or (node.op == "Div" and position != 0):
        return None
    constant = operand(node, 1 - position)
    if constant is None or constant.is_complex():
        return None
    number = as_number(constant)
    return position, constant if number is None else number


def _loss_side(node: Node) -> int | None:
    """The factor that is not constant; a learned scalar weight counts as constant."""
    present = _present(node)
    if len(present) == 1:
        return present[0]
    learned = [i for i in present if _is_learned_scalar(node.inputs[i])]
    return 1 - learned[0] if len(learned) == 1 and len(node.inputs) == 2 else None


def _is_learned_scalar(node: Node | None) -> bool:
    """One number made of parameters alone by a few scalar operations, such as exp(-s)."""
    stack, visits = [node], 0
    while stack:
        current = stack.pop()
        visits += 1
        if current is None:
            continue
        if current.op == "leaf":
            if current.numel > _SMALL:
                return False
        elif visits > _SCALAR_NODES or (current.numel != 1 and current.op not in VIEWS | PICKS):
            return False
        else:
            stack.extend(current.inputs)
    return node is not None and node.numel == 1


def multiply(part: Part) -> list[Part] | None:
    found = constant_factor(part.node)
    if found is None:
        return None
    position, factor = found
    if not isinstance(factor, Tensor):
        inverse = (1 / factor,) if factor else ()
        divisors = (*part.divisors, *inverse)
        return [_repeated(_down(part, position, scale=part.scale * factor, divisors=divisors), part.node)]
    scale = part.scale
    if factor.dtype is not torch.bool and bool((factor <= 0).all()):  # (-t * log p): a weight of -1 × t
        factor, scale = -factor, -scale
    return [_repeated(_down(part, position, scale=scale, weights=(*part.weights, factor)), part.node)]


def _uniform_value(factor: Tensor) -> float | None:
    """The one value of all elements, ``None`` where they differ."""
    first = factor.reshape(-1)[:1]
    return float(first) if factor.numel() and bool((factor == first).all()) else None


def divide(part: Part) -> list[Part] | None:
    found = constant_factor(part.node)
    if found is None:
        return None
    position, factor = found
    if isinstance(factor, Tensor):
        uniform = _uniform_value(factor)
        if uniform:  # the 2σ² of a distribution with a fixed σ
            scale = part.scale / uniform
            return [_repeated(_down(part, position, scale=scale), part.node)]
        return [_repeated(_down(part, position, weights=(*part.weights, factor.reciprocal())), part.node)]
    if factor == 0:
        return None
    divisors = (*part.divisors, factor)
    return [_repeated(_down(part, position, scale=part.scale / factor, divisors=divisors), part.node)]


def mean(part: Part) -> list[Part] | None:
    node = part.node
    child = node.inputs[0]
    if child is None or child.numel == 0 or node.numel == 0:
        return None
    count = child.numel // node.numel
    return [
        _down(
            part,
            0,
            scale=part.scale / count,
            averaged=part.averaged * count,
            means=part.means + 1,
            weights=_spread(part),
        )
    ]


def total(part: Part) -> list[Part] | None:
    if part.node.inputs[0] is None:
        return None
    return [_down(part, 0, sums=part.sums + 1, weights=_spread(part))]


def _spread(part: Part) -> tuple[Tensor, ...]:
    """Weights of a reduction's output, with the reduced axes put back so that they broadcast."""
    node = part.node
    if not part.weights or node.option("keepdim") or not node.shape:
        return part.weights
    rank = len(node.inputs[0].shape) if node.inputs[0] is not None else 0
    axes = sorted(axis % rank for axis in node.option("dim") or ())
    weights = []
    for original in part.weights:
        weight = original.expand(node.shape)
        for axis in axes:
            weight = weight.unsqueeze(axis)
        weights.append(weight)
    return tuple(weights)


def view(part: Part) -> list[Part] | None:
    """Anything that only moves, copies, casts or repeats elements; pending weights move along."""
    node = part.node
    child = next(iter(node.inputs), None)
    if child is None:
        return None
    if node.op == "Expand":
        return [_repeated(_down(part, 0), node)]
    if not part.weights or node.op in COPIES:
        return [_down(part, 0)]
    moved_weights = tuple(_weight_below(node, child, w) for w in part.weights)
    return [_down(part, 0, weights=moved_weights)]


def _weight_below(node: Node, child: Node, weight: Tensor) -> Tensor:
    """A weight at the shape of a view, carried to the shape of its input."""
    weight = weight.expand(node.shape)
    if node.op == "Permute":
        dims = [d % len(node.shape) for d in node.option("dims")]
        inverse = sorted(range(len(dims)), key=dims.__getitem__)
        return weight.permute(inverse)
    if node.op in ("Transpose", "T"):
        return weight.t() if node.op == "T" else weight.transpose(node.option("dim0"), node.option("dim1"))
    return weight.reshape(child.shape)


def pick(part: Part) -> list[Part] | None:
    """Selection of some elements; what it selects from a stack of losses is looked up at once."""
    node = part.node
    child = node.inputs[0]
    if child is None:
        return None
    if child.op == "Stack" and node.op in ("Select", "Unbind") and node.option("dim") == child.option("dim"):
        index = node.option("index") if node.op == "Select" else node.index
        if child.inputs[index] is not None:
            return [part._replace(node=child.inputs[index])]
    if part.weights:
        return None
    return [_down(part, 0, picks=(*part.picks, node))]


def where(part: Part) -> list[Part] | None:
    node = part.node
    condition = node.saved("condition")
    if condition is None:
        return None
    return [
        _repeated(_down(part, i, weights=(*part.weights, condition if i == 0 else ~condition)), node)
        for i in _present(node)
    ]


def masked_fill(part: Part) -> list[Part] | None:
    mask = part.node.saved("mask")
    if mask is None or part.node.inputs[0] is None:
        return None
    return [_down(part, 0, weights=(*part.weights, ~mask))]


def join(part: Part) -> list[Part] | None:
    """Stack and concatenation: each piece is a part of its own."""
    node = part.node
    sizes = [child.numel if child is not None else 0 for child in node.inputs]
    if part.picks:
        return None
    if not part.weights:
        return [_down(part, i) for i in _present(node)]
    if len(part.weights) > 1 or node.numel > _SMALL or node.op != "Stack" or set(sizes) - {0, 1}:
        return None
    factors = next(iter(part.weights)).expand(node.shape).reshape(-1).tolist()
    return [_down(part, i, scale=part.scale * factors[i], weights=()) for i in _present(node)]


def inner_product(part: Part) -> list[Part] | None:
    """``torch.dot(constant, losses)``: a weighted sum."""
    node = part.node
    present = _present(node)
    if len(present) != 1:
        return None
    constant = node.saved("tensor" if present[0] == 0 else "self")
    if constant is None:
        return None
    return [_down(part, present[0], weights=(constant,), sums=part.sums + 1)]


STEPS: dict[str, Step] = {
    **dict.fromkeys(("Add", "Sub", "Rsub"), add),
    **dict.fromkeys(VIEWS, view),
    **dict.fromkeys(PICKS, pick),
    "Neg": negate,
    "Mul": multiply,
    "Div": divide,
    "Mean": mean,
    "Sum": total,
    "Where": where,
    "MaskedFill": masked_fill,
    "Stack": join,
    "Cat": join,
    "Dot": inner_product,
}


def adds_constant(node: Node) -> bool:
    """Whether the node may add something that needs no gradient."""
    if node.op in ("Add", "Sub", "Rsub"):
        return len(node.inputs) < 2 or None in node.inputs
    return node.op in ("Stack", "Cat", "Where") and None in node.inputs
