"""Broadcasting that compares every prediction with every target: [N, 1] against [N] is an N × N table.

Two shapes stretch each other where an axis of length n is stretched on one side, another axis of the same length on
the other side. A bias, a scalar target, targets repeated for each output or levels shared by all samples stretch one
side only, or two axes of different lengths: those are no such table.
"""

from torch import Tensor


def stretched_axes(shape: tuple[int, ...], result: tuple[int, ...]) -> frozenset[int]:
    """Axes of ``result`` along which a tensor of ``shape`` is repeated to reach it."""
    own = (1,) * (len(result) - len(shape)) + tuple(shape)
    return frozenset(i for i, (a, b) in enumerate(zip(own, result, strict=True)) if a == 1 and b > 1)


def is_table(one: frozenset[int], other: frozenset[int], result: tuple[int, ...]) -> bool:
    """Whether two sides are repeated along different axes of equal length."""
    lengths = {result[i] for i in one - other}
    return any(result[j] in lengths for j in other - one)


def repeated_axes(tensor: Tensor) -> frozenset[int]:
    """Axes longer than 1 along which a tensor is an expanded view."""
    pairs = enumerate(zip(tensor.shape, tensor.stride(), strict=True))
    return frozenset(i for i, (size, step) in pairs if size > 1 and step == 0)


def constant_axes(tensor: Tensor, scale: float) -> frozenset[int]:
    """Axes longer than 1 along which all numbers are equal up to rounding at the size ``scale``."""
    found = set()
    for axis, size in enumerate(tensor.shape):
        spread = tensor.amax(axis) - tensor.amin(axis) if size > 1 else None
        if spread is not None and bool(spread.max() <= scale):
            found.add(axis)
    return frozenset(found)
