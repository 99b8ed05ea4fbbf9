"""Where a graph keeps the arguments of a loss that need no gradient: targets above all.

Found by comparing what the nodes of a traced call keep with its arguments; the same place then gives the argument of
a live graph. Autograd often keeps only what was made of a target: its logarithm, a one-hot form, 1 - t.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from losscope.losses.arguments import Argument
from losscope.losses.graph.node import Node
from losscope.losses.graph.saved import saved_names
from losscope.losses.graph.values import output

OPERAND = "#operand"  # the constant side of a difference, which is not kept but follows from the other side
_LIMIT = 1 << 16
_EDGE = 1e-3  # by how much a target that was computed may lie outside its domain
# What may have been made of an argument, element by element, with the way back.
_CURVES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "": (lambda t: t, lambda s: s),
    "log": (torch.log, torch.exp),
    "log1p": (torch.log1p, torch.expm1),
    "exp": (torch.exp, torch.log),
    "sqrt": (torch.sqrt, torch.square),
}


class Place(NamedTuple):
    """An argument is kept by node ``entry`` as tensor ``name`` (``item`` of a list).

    The argument is inverse(``scale``·kept + ``shift``), where ``curve`` names what it went through. ``how`` is
    "same", "one-hot" (its largest entry along ``axis``), "levels" (how many are 1 along ``axis``), "repeated" (equal
    along ``axis``) or "groups" (kept is whether two samples belong together; ``scale`` -1: whether not).
    ``squeezed`` are axes of length 1 that the argument does not have.
    """

    entry: int
    name: str
    item: int = -1
    how: str = "same"
    axis: int = 0
    scale: float = 1.0
    shift: float = 0.0
    squeezed: tuple[int, ...] = ()
    curve: str = ""

    @property
    def rank(self) -> tuple[int, int, int]:
        """The argument itself comes before what it must be computed from."""
        plain = self.how == "same" and self.scale == 1 and self.shift == 0 and not self.curve
        return (0 if plain else 1 if self.how == "same" else 2, self.name == OPERAND, len(self.squeezed))


def kept_tensors(node: Node) -> Iterator[tuple[str, int, Tensor]]:
    """Every tensor that a node keeps, with its name and its place in a list (-1: none)."""
    for name in saved_names(node)[1]:
        tensor = node.saved(name)
        if tensor is not None:
            yield name, -1, tensor
        for item, listed in enumerate(node.saved_list(name)):
            if listed is not None:
                yield name, item, listed
    operand = _operand(node)
    if operand is not None:
        yield OPERAND, -1, operand


def kept(node: Node, name: str, item: int) -> Tensor | None:
    """One of :func:`kept_tensors`."""
    if name == OPERAND:
        return _operand(node)
    if item < 0:
        return node.saved(name)
    listed = node.saved_list(name)
    return listed[item] if item < len(listed) else None


def _operand(node: Node) -> Tensor | None:
    """The side of a difference that needs no gradient, up to the rounding of the difference."""
    if (
        node.op != "Sub"
        or len(node.inputs) != 2
        or node.inputs.count(None) != 1
        or node.option("alpha", 1) != 1
    ):
        return None
    side = node.inputs[0] or node.inputs[1]
    value, difference = output(side) if side is not None else None, _known(node)
    if value is None or difference is None or value.shape != difference.shape:
        return None
    return difference + value if node.inputs[0] is None else value - difference


def _known(node: Node, depth: int = 3) -> Tensor | None:
    """A node's output, also from what a sign, a constant factor or a divisor made of it."""
    found = output(node)
    if found is not None or depth == 0:
        return found
    for user, position in node.users:
        if user.op not in ("Neg", "Mul", "Div") or user.shape != node.shape:
            continue
        if any(side is not None for i, side in enumerate(user.inputs) if i != position):
            continue
        result = _known(user, depth - 1)
        if result is None or user.op == "Neg":
            return None if result is None else -result
        constant = user.saved("self" if position else "other")
        if constant is not None and bool((constant != 0).all()) and (user.op == "Mul" or position == 0):
            return result * constant if user.op == "Div" else result / constant
    return None


def place_of(place: Place, tensor: Tensor, value: Tensor, argument: Argument) -> Place | None:
    """How the ``value`` of an argument follows from the ``tensor`` kept at ``place``, or ``None``."""
    if tensor.is_complex() or value.numel() == 0:
        return None
    have, wanted = tensor.detach().double(), value.double()
    if argument.kind == "groups" and tensor.dim() == 2:
        return _pairs(place, have, value)
    if have.numel() == wanted.numel():
        found = (
            _affine(place._replace(curve=name), have, curve(wanted)) for name, (curve, _) in _CURVES.items()
        )
        return next((f for f in found if f is not None), None)
    for axis, size in enumerate(have.shape):
        if size >= 2 and have.numel() == size * wanted.numel():
            rest = wanted.reshape(have.shape[:axis] + have.shape[axis + 1 :])
            how = _along(have, rest, axis)
            if how:
                return place._replace(how=how, axis=axis)
    return None


def _along(have: Tensor, wanted: Tensor, axis: int) -> str:
    if bool((have == have.select(axis, 0).unsqueeze(axis)).all()):
        return "repeated" if torch.equal(have.select(axis, 0), wanted) else ""
    if not bool(((have == 0) | (have == 1)).all()):
        return ""
    if bool((have.sum(axis) == 1).all()) and torch.equal(have.argmax(axis).double(), wanted):
        return "one-hot"
    return "levels" if torch.equal(have.sum(axis), wanted) else ""


def _pairs(place: Place, have: Tensor, groups: Tensor) -> Place | None:
    if have.shape != (len(groups), len(groups)) or not bool(((have == 0) | (have == 1)).all()):
        return None
    same = groups[:, None] == groups[None, :]
    for scale in (1.0, -1.0):
        if torch.equal(_together(have, scale), same):
            return place._replace(how="groups", scale=scale)
    return None


def _together(pairs: Tensor, scale: float) -> Tensor:
    """Which samples belong together, themselves included."""
    found = pairs != 0 if scale > 0 else pairs == 0
    return found | torch.eye(len(found), dtype=torch.bool, device=found.device)


def _affine(place: Place, have: Tensor, wanted: Tensor) -> Place | None:
    if have.shape != wanted.shape:
        ones = tuple(i for i, size in enumerate(have.shape) if size == 1)
        if tuple(size for size in have.shape if size != 1) == tuple(wanted.shape):
            place = place._replace(squeezed=ones)
    x, y = have.reshape(-1), wanted.reshape(-1)
    if not bool(y.isfinite().all()):
        return None
    if torch.equal(x, y):
        return place
    low, high = int(x.argmin()), int(x.argmax())
    if not bool(x.isfinite().all()) or x[low] == x[high]:
        return None
    scale = float((y[high] - y[low]) / (x[high] - x[low]))
    shift = float(y[low] - scale * x[low])
    if scale == 0 or not torch.allclose(scale * x + shift, y, 1e-5, 1e-6):
        return None
    return place._replace(scale=round(scale, 5), shift=round(shift, 5))


def taken_from(place: Place, tensor: Tensor) -> Tensor | None:
    """The argument, from the tensor at its place in a live graph."""
    if place.how == "groups":
        square = tensor.dim() == 2 and tensor.shape[0] == tensor.shape[1]
        return _together(tensor, place.scale).to(torch.uint8).argmax(1) if square else None
    if place.how != "same":
        if tensor.dim() <= place.axis:
            return None
        if place.how == "repeated":
            return tensor.select(place.axis, 0)
        one = tensor != 0
        return one.sum(place.axis) if place.how == "levels" else one.to(torch.uint8).argmax(place.axis)
    if (place.scale, place.shift, place.curve) != (1.0, 0.0, ""):
        tensor = tensor if tensor.dtype.is_floating_point else tensor.to(torch.get_default_dtype())
        tensor = _CURVES[place.curve][1](place.scale * tensor + place.shift)
    if any(axis >= tensor.dim() or tensor.shape[axis] != 1 for axis in place.squeezed):
        return tensor
    return tensor.reshape([size for i, size in enumerate(tensor.shape) if i not in place.squeezed])


def in_domain(argument: Argument, tensor: Tensor) -> bool:
    """Whether these can be values of the argument; of large tensors only the first elements are looked at."""
    kind = argument.of
    values = tensor.detach().reshape(-1)[:_LIMIT]
    if values.numel() == 0 or values.dtype is torch.bool:
        return True
    if argument.kind in ("sign", "sign-label"):
        return bool(((values.abs() - 1).abs() < _EDGE).all())
    if kind.integer and values.dtype.is_floating_point:
        return bool((values == values.round()).all())
    if kind.role != "target" or kind.integer:  # negative indices are ignored ones
        return True
    inside = (values >= kind.low - _EDGE) & (values <= kind.high + _EDGE)
    return bool((inside | values.isnan()).all())
