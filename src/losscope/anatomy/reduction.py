"""Splits the scale of a part into a coefficient and a reduction that a person would name."""

from math import prod

from torch import Tensor

from losscope.losses.graph.constants import is_binary, product
from losscope.losses.graph.part import Part, picked
from losscope.losses.spec import Reading

_CLOSE = 1e-5


def name_reduction(part: Part, reading: Reading) -> tuple[float, str, Tensor | None]:
    """(coefficient, reduction, sample weights) of a recognised part.

    The coefficient times the loss under that reduction is what the part adds to the objective. A mean
    over all elements is "mean", also where the code divided a sum by their number; a sum divided by the
    number of rows only is "batchmean"; with constant weights whose sum divides, "masked-mean" (weights 0
    and 1) or "weighted-mean".
    """
    scale = reading.factor if reading.factor is not None else part.scale
    scale *= reading.sign
    weights = reading.weights if reading.weights is not None else part.weights
    weight = product(weights)
    if reading.reduction is not None:
        return _fused(scale, part, reading, weight)
    shape = reading.elements if reading.elements is not None else _picked_shape(part)
    if weight is not None:
        found = _weighted(scale, part, weight)
        if found is not None:
            return (*found, weight)
    count = max(1, prod(shape))
    coefficient, reduction = _uniform(scale, part, shape, count, reading)
    return coefficient, reduction, weight


def _fused(
    scale: float, part: Part, reading: Reading, weight: Tensor | None
) -> tuple[float, str, Tensor | None]:
    """A reduction done by the loss itself; a sum divided by the number of elements is a mean.

    So is one divided by a larger whole number: the elements of all micro-batches of an accumulated update.
    """
    reduction = reading.reduction or "mean"
    if weight is not None:
        scale *= float(weight)
    if reduction == "sum" and part.divisors:
        elements = _element_count(reading)
        rows = reading.target.shape[0] if reading.target is not None and reading.target.dim() else 0
        if _among(part.divisors, elements):
            return scale * elements, "mean", None
        if rows and _among(part.divisors, rows):
            return scale * rows, "batchmean", None
        if elements and any(d > elements and float(d).is_integer() for d in part.divisors):
            return scale * elements, "mean", None
    return scale, reduction, None


def _element_count(reading: Reading) -> int:
    target = reading.target
    if target is None:
        return 0
    ignored = reading.options.get("ignore_index")
    if ignored is not None and not target.dtype.is_floating_point:
        return int((target != ignored).sum())
    return target.numel()


def _picked_shape(part: Part) -> tuple[int, ...]:
    """How many elements the reduction really saw: those that the first selection left."""
    return part.picks[0].shape if part.picks else part.node.shape


def _weighted(scale: float, part: Part, weight: Tensor) -> tuple[float, str] | None:
    """Weights whose sum is one of the divisors."""
    total = float(weight.expand(part.node.shape).double().sum()) if weight.numel() > 1 else 0.0
    if total and _among(part.divisors, total):
        return scale * total, "masked-mean" if is_binary(weight) else "weighted-mean"
    if total and part.means and abs(total - part.averaged) <= _CLOSE * total:
        return scale * total, "weighted-mean"
    rows = float(weight.double().sum())
    if rows and part.means == 0 and _among(part.divisors, rows):
        return scale * rows, "masked-mean" if is_binary(weight) else "weighted-mean"
    return None


def _uniform(
    scale: float, part: Part, shape: tuple[int, ...], count: int, reading: Reading
) -> tuple[float, str]:
    batch = shape[0] if shape else 1
    valid = _element_count(reading) if part.divisors and reading.target is not None else count
    if part.means and part.averaged % count == 0:
        return scale * count, "mean"
    if part.means == 0 and _among(part.divisors, count):
        return scale * count, "mean"
    if part.means == 0 and valid != count and valid and _among(part.divisors, valid):
        return scale * valid, "mean"
    if batch != count and (part.averaged == batch or _among(part.divisors, batch)):
        return scale * batch, "batchmean"
    if part.means == 0 and part.sums == 0 and count == 1:
        return scale, "none"
    return scale, "sum"


def unfused_options(part: Part, reading: Reading, reduction: str, target: Tensor | None) -> dict[str, bool]:
    """How a mean taken of single losses differs from the one that a loss over classes takes itself.

    That one divides by the weights of the targets that count. Of single losses the weights are factors and no
    divisor, and those of ignored targets are zeros that a plain mean counts.
    """
    if reading.reduction == "mean" or target is None or reading.options.get("target") != "class":
        return {}
    found = {} if reading.options.get("weight") is None else {"normalised_weights": False}
    ignored = reading.options.get("ignore_index")
    if reduction != "mean" or ignored is None or target.dtype.is_floating_point:
        return found
    kept = int((target != ignored).sum())
    if part.means or (kept != target.numel() and not _among(part.divisors, kept)):
        found["ignored_as_zero"] = True
    return found


def _among(divisors: tuple[float, ...], value: float) -> bool:
    return any(abs(d - value) <= _CLOSE * abs(value) for d in divisors if value)


def picked_target(part: Part, target: Tensor | None) -> Tensor | None:
    """The targets of the elements that the reduction saw."""
    for node in reversed(part.picks):
        child = node.inputs[0]
        if target is None or child is None or tuple(target.shape) != child.shape:
            return target
        target = picked(node, target)
    return target
