"""What an autograd node keeps, by name: numbers, axes and tensors, and when two of them are the same constant."""

import math
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from losscope.losses.graph.node import Node

_SIZES = ("sym", "sizes", "numel", "options", "scalar_type")
_DIMS = frozenset({"dim", "dims", "dim0", "dim1", "dim2"})
_SMALL = 1 << 12
CLOSE = 1e-5
_names: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}


def saved_names(node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
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
    numbers, tensors = saved_names(node)
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
            or abs(one - other) <= CLOSE * max(abs(one), abs(other))
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
    return torch.allclose(one.double().cpu(), other.double().cpu(), CLOSE, 1e-7, equal_nan=True)


def is_number(value: Any) -> TypeGuard[int | float]:
    """A real number, a truth value not counting as one."""
    return isinstance(value, int | float) and not isinstance(value, bool)
