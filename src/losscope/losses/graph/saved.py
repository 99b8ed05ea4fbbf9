"""What an autograd node keeps, by name: constants, and the arguments of a loss among its tensors."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from losscope.losses.arguments import Argument
from losscope.losses.graph.node import Node

_SIZES = ("sym", "sizes", "numel", "options", "scalar_type")
_DIMS = frozenset({"dim", "dims", "dim0", "dim1", "dim2"})
_SMALL = 1 << 12
_LIMIT = 1 << 16
_CLOSE = 1e-5
_names: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}


def _saved_names(node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the saved numbers and of the saved tensors; looked up once for each kind of node."""
    if node.variant < 0:
        return (), ()
    found = _names.get(node.name)
    if found is None:
        names = [n.removeprefix("_raw_saved_") for n in dir(node.fn) if n.startswith("_raw_saved_")]
        numbers = [n.removeprefix("_saved_") for n in dir(node.fn) if n.startswith("_saved_")]
        plain = [n for n in numbers if n not in names and not any(s in n for s in _SIZES)]
        found = _names[node.name] = (tuple(plain), tuple(names))
    return found


class Dims(NamedTuple):
    """Axes together with the number of axes that they are counted in."""

    axes: tuple[int, ...]
    rank: int

    def same(self, other: "Dims") -> bool:
        """The same axes counted from the front, or from the back, or all but the same."""
        if len(self.axes) == len(other.axes):
            pairs = list(zip(self.axes, other.axes, strict=True))
            return (
                all(a == b for a, b in pairs)
                or all(a % (self.rank or 1) == b % (other.rank or 1) for a, b in pairs)
                or all(
                    a % (self.rank or 1) - self.rank == b % (other.rank or 1) - other.rank for a, b in pairs
                )
            )
        return self._kept() == other._kept()

    def _kept(self) -> set[int]:
        return set(range(self.rank)) - {a % (self.rank or 1) for a in self.axes}


def constants(node: Node) -> dict[str, Any]:
    """Numbers, texts and axes that the node keeps, and constant tensors with at most a few thousand elements."""
    numbers, tensors = _saved_names(node)
    found = {name: constant(node, name) for name in numbers}
    for name in tensors:
        tensor = node.saved(name)
        if tensor is not None and tensor.numel() <= _SMALL:
            found[name] = _as_constant(tensor)
    return found


def constant(node: Node, name: str) -> Any:
    """The saved constant called ``name``."""
    if hasattr(node.fn, "_raw_saved_" + name):
        tensor = node.saved(name)
        return None if tensor is None else _as_constant(tensor)
    value = node.option(name)
    if name in _DIMS and value is not None:
        below = next((n for n in node.inputs if n is not None), node)
        axes = value if isinstance(value, tuple) else (value,)
        return Dims(axes, max(len(below.shape), len(node.shape) if node.op in ("Stack", "Cat") else 0))
    return value


def _as_constant(tensor: Tensor) -> Any:
    """A tensor without axes is how autograd keeps a Python number."""
    if tensor.dim() == 0 and not tensor.is_complex():
        return tensor.item()
    return tensor


class Many:
    """Stands for a constant factor that is a tensor, with values of its own each time, and not one number."""


def varies(node: Node, name: str) -> bool:
    """Whether the tensor ``name`` of a product or quotient is its constant factor and no number."""
    if node.op not in ("Mul", "Div") or name not in ("self", "other") or len(node.inputs) != 2:
        return False
    tensor = node.saved(name)
    return node.inputs[("self", "other").index(name)] is None and tensor is not None and tensor.dim() > 0


def same_constant(one: Any, other: Any) -> bool:
    """Equal up to rounding; axes wherever they are counted from."""
    if isinstance(one, Many):
        return isinstance(other, Tensor)
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return _same_tensor(one, other)
    if isinstance(one, Dims) and isinstance(other, Dims):
        return one.same(other)
    if is_number(one) and is_number(other):
        return (
            one == other
            or abs(one - other) <= _CLOSE * max(abs(one), abs(other))
            or (math.isnan(one) and math.isnan(other))
        )
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(map(same_constant, one, other))
    return type(one) is type(other) and bool(one == other)


def _same_tensor(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor) or one.shape != other.shape:
        return False
    if one.dtype.is_complex or other.dtype.is_complex:
        return False
    return torch.allclose(one.double().cpu(), other.double().cpu(), _CLOSE, 1e-7, equal_nan=True)


def is_number(value: Any) -> TypeGuard[int | float]:
    """A real number, a truth value not counting as one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


class Place(NamedTuple):
    """Where an argument that needs no gradient is kept: node ``entry``, tensor ``name`` (``item`` of a list).

    The argument is ``scale``·saved + ``shift``. ``how`` is "same", "one-hot" (its largest entry along ``axis``),
    "levels" (how many are 1 along ``axis``) or "repeated" (equal along ``axis``). ``squeezed`` are axes of length 1
    that the argument does not have.
    """

    entry: int
    name: str
    item: int = -1
    how: str = "same"
    axis: int = 0
    scale: float = 1.0
    shift: float = 0.0
    squeezed: tuple[int, ...] = ()


def kept_tensors(node: Node) -> Iterator[tuple[str, int, Tensor]]:
    """Every tensor that a node keeps, with its name and its place in a list (-1: none)."""
    for name in _saved_names(node)[1]:
        tensor = node.saved(name)
        if tensor is not None:
            yield name, -1, tensor
        for item, listed in enumerate(node.saved_list(name)):
            if listed is not None:
                yield name, item, listed


def place_of(entry: int, name: str, item: int, kept: Tensor, argument: Tensor) -> Place | None:
    """How ``argument`` follows from the tensor ``kept``, or ``None``."""
    if kept.is_complex() or argument.numel() == 0:
        return None
    saved, wanted = kept.detach().double(), argument.double()
    if saved.numel() == wanted.numel():
        return _affine(Place(entry, name, item), saved, wanted)
    if saved.dim() == wanted.dim() + 1:
        for axis, size in enumerate(saved.shape):
            if saved.shape[:axis] + saved.shape[axis + 1 :] != wanted.shape or size < 2:
                continue
            if bool((saved == saved.select(axis, 0).unsqueeze(axis)).all()):
                if torch.equal(saved.select(axis, 0), wanted):
                    return Place(entry, name, item, "repeated", axis)
            elif bool(((saved == 0) | (saved == 1)).all()):
                if bool((saved.sum(axis) == 1).all()) and torch.equal(saved.argmax(axis).double(), wanted):
                    return Place(entry, name, item, "one-hot", axis)
                if torch.equal(saved.sum(axis), wanted):
                    return Place(entry, name, item, "levels", axis)
    return None


def _affine(place: Place, saved: Tensor, wanted: Tensor) -> Place | None:
    squeezed = (
        tuple(i for i, size in enumerate(saved.shape) if size == 1) if saved.shape != wanted.shape else ()
    )
    if squeezed and tuple(s for s in saved.shape if s != 1) != tuple(wanted.shape):
        squeezed = ()
    x, y = saved.reshape(-1), wanted.reshape(-1)
    if torch.equal(x, y):
        return place._replace(squeezed=squeezed)
    low, high = int(x.argmin()), int(x.argmax())
    if not bool(x.isfinite().all()) or x[low] == x[high]:
        return None
    scale = float((y[high] - y[low]) / (x[high] - x[low]))
    shift = float(y[low] - scale * x[low])
    if scale == 0 or not torch.allclose(scale * x + shift, y, 1e-5, 1e-6):
        return None
    return place._replace(scale=round(scale, 6), shift=round(shift, 6), squeezed=squeezed)


def taken_from(place: Place, kept: Tensor) -> Tensor | None:
    """The argument, from the tensor at its place in a live graph."""
    if place.how == "one-hot":
        return kept.to(torch.uint8).argmax(place.axis) if kept.dim() > place.axis else None
    if place.how == "levels":
        return (kept != 0).sum(place.axis) if kept.dim() > place.axis else None
    if place.how == "repeated":
        return kept.select(place.axis, 0) if kept.dim() > place.axis else None
    if (place.scale, place.shift) != (1.0, 0.0):
        kept = kept.to(torch.get_default_dtype()) if not kept.dtype.is_floating_point else kept
        kept = place.scale * kept + place.shift
    if any(axis >= kept.dim() or kept.shape[axis] != 1 for axis in place.squeezed):
        return kept
    return kept.reshape([s for i, s in enumerate(kept.shape) if i not in place.squeezed])


def in_domain(argument: Argument, tensor: Tensor) -> bool:
    """Whether these can be values of the argument; of large tensors only the first elements are looked at."""
    kind = argument.of
    values = tensor.detach().reshape(-1)[:_LIMIT]
    if values.numel() == 0 or values.dtype is torch.bool:
        return True
    if argument.kind in ("sign", "sign-label"):
        return bool((values.abs() == 1).all())
    if kind.integer and values.dtype.is_floating_point:
        return bool((values == values.round()).all())
    if kind.role != "target" or kind.integer:  # negative indices are ignored ones
        return True
    inside = (values >= kind.low - _CLOSE) & (values <= kind.high + _CLOSE)
    return bool((inside | values.isnan()).all())
