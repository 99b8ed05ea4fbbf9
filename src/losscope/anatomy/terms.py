"""Turns what was recognised into terms with coefficients, values, predictions and targets."""

import math
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType

import torch
from torch import Tensor

from losscope.anatomy.anatomy import Term
from losscope.anatomy.frame_tensors import find_operands
from losscope.anatomy.reach import leaves_below
from losscope.anatomy.recognise import Found
from losscope.anatomy.reduction import name_reduction, picked_target, unfused_options
from losscope.losses.graph.endings import ending_notes
from losscope.losses.graph.forms import activation
from losscope.losses.graph.linear import Decomposition
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.tables import batch_notes, part_notes
from losscope.losses.graph.values import output
from losscope.losses.spec import LossSpec, Reading
from losscope.losses.target_stats import TargetStats

_CHAIN = 14
_UNKNOWN_CHAIN = 4
_CONSTANT_CHECK = 1 << 16
_DIGITS = 1e-3
_LARGE = 1 << 20  # a penalty over more elements is had by difference, not by another pass over them


def terms_of(
    found: Sequence[Found],
    decomposition: Decomposition,
    root: float,
    scale: float,
    *,
    deep: bool,
    frame: FrameType | None,
) -> tuple[Term, ...]:
    """One term per recognised item; ``root`` is the unscaled value of the objective."""
    contributions = _contributions(found, decomposition, root, scale)
    terms = []
    for item, contribution in zip(found, contributions, strict=False):
        term = _term(item, frame)
        if deep:
            parts = item.reading.consumed if item.reading and item.reading.consumed else (item.part,)
            term = replace(term, parameters=tuple(leaves_below(p.node.fn for p in parts)))
        coefficient = term.coefficient / scale
        value = None
        if contribution is not None and coefficient:
            value = contribution / coefficient
        terms.append(replace(term, coefficient=coefficient, value=value))
    if len(contributions) > len(found):
        terms.append(Term("constant", None, 1.0, "none", contributions[-1]))
    return tuple(terms)


def _contributions(
    found: Sequence[Found], decomposition: Decomposition, root: float, scale: float
) -> list[float | None]:
    """What each item adds to the root. At most one is had by difference; a last extra entry is a constant."""
    if len(found) == 1 and not (decomposition.constant and _may_leave_constant(found[0])):
        return [root]
    tensors = [_contribution(item) for item in found]
    known = [i for i, t in enumerate(tensors) if t is not None]
    numbers: list[float | None] = [None] * len(found)
    for i, number in zip(known, _floats([t for t in tensors if t is not None]), strict=True):
        numbers[i] = number / scale
    rest = root - math.fsum(n for n in numbers if n is not None)
    missing = [i for i, n in enumerate(numbers) if n is None]
    if len(missing) == 1 or _is_one_penalty([found[i] for i in missing]):
        numbers = [0.0 if n is None else n for n in numbers]
        numbers[missing[0]] = rest
    elif not missing and decomposition.constant:
        _place_constant(numbers, found, rest, root)
    return numbers


def _is_one_penalty(items: Sequence[Found]) -> bool:
    """Whether these will be merged into one term, so that only the sum of their values matters."""
    penalties = {
        (f.spec.name, f.part.scale) for f in items if f.spec is not None and f.spec.task == "penalty"
    }
    return len(penalties) == 1 and all(f.spec is not None and f.spec.task == "penalty" for f in items)


def _may_leave_constant(item: Found) -> bool:
    return item.spec is not None and not (item.reading is not None and item.reading.absorbs_constant)


def _place_constant(numbers: list[float | None], found: Sequence[Found], rest: float, root: float) -> None:
    """A constant in the objective belongs to the one loss that has such a constant, or is a term of its own."""
    magnitude = abs(root) + math.fsum(abs(n) for n in numbers if n is not None)
    dtype = found[0].part.node.dtype or torch.float32
    precision = torch.finfo(dtype).eps if dtype.is_floating_point else 1e-7
    if not abs(rest) > max(64 * precision, 1e-6 * (precision > 1e-9)) * magnitude:
        return
    absorbing = [i for i, f in enumerate(found) if f.reading is not None and f.reading.absorbs_constant]
    if len(absorbing) == 1:
        numbers[absorbing[0]] = (numbers[absorbing[0]] or 0.0) + rest
    elif math.isfinite(rest):
        numbers.append(rest)


def _contribution(item: Found) -> Tensor | None:
    parts = item.reading.consumed if item.reading and item.reading.consumed else (item.part,)
    if item.reading is not None and item.reading.output is not None:
        item.part.node.known = item.reading.output()
    if item.spec is not None and item.spec.task == "penalty" and item.part.node.numel > _LARGE:
        return None
    total = None
    for part in parts:
        value = part.value()
        if value is None or value.numel() != 1:
            return None
        value = value.double().reshape(()) if value.device.type != "mps" else value.float().reshape(())
        total = value if total is None else total + value
    return total


def _floats(tensors: list[Tensor]) -> list[float]:
    """Several numbers with one wait for the device."""
    if not tensors:
        return []
    if all(t.device.type == "cpu" for t in tensors) or len({t.device for t in tensors}) > 1:
        return [float(t) for t in tensors]
    return torch.stack(tensors).tolist()


def _term(item: Found, frame: FrameType | None) -> Term:
    if item.spec is None or item.reading is None:
        return _unknown(item.part)
    reading, spec = item.reading, item.spec
    coefficient, reduction, weight = name_reduction(item.part, reading)
    target = picked_target(item.part, reading.target)
    node = reading.prediction
    tensor, tensor_is = _prediction(reading, spec)
    notes = [
        *_structural_notes(reading.notes, item.part, target),
        *_target_notes(spec, target),
        *batch_notes(node),
    ]
    term = Term(
        kind=reading.kind or spec.name,
        spec=spec,
        coefficient=coefficient,
        reduction=reduction,
        value=None,
        options={**reading.options, **unfused_options(item.part, reading, reduction, target)},
        prediction=tensor,
        target=target,
        prediction_shape=node.shape
        if node is not None
        else tuple(tensor.shape)
        if tensor is not None
        else (),
        prediction_is=tensor_is,
        activation=activation(node),
        chain=_chain(item.part.node),
        notes=tuple(notes),
        sample_weight=weight if weight is not None and weight.numel() > 1 else None,
    )
    if frame is not None:
        term = _with_names(term, reading, frame)
    if term.target is None and reading.difference and term.prediction is not None and _is_pointwise(spec):
        term = replace(term, target=_left_over(reading.difference, term.prediction))
    return replace(term, floor=_floor(term))


def _is_pointwise(spec: LossSpec) -> bool:
    """Whether the loss is one of a real target for each predicted number."""
    axes = [
        a.axes or a.of.axes for role in ("prediction", "target") for a in spec.arguments if a.role == role
    ]
    return spec.task == "regression" and len(axes) == 2 and axes[0] == axes[1]


def _left_over(difference: Node, prediction: Tensor) -> Tensor | None:
    """The constant target of ``prediction - y`` or ``y - prediction``, if rounding leaves three digits of its spread.

    So it is not told of one number for all samples: nothing is learnt from it, and what is seen to vary is rounding.
    """
    constants = [i for i, child in enumerate(difference.inputs) if child is None]
    if difference.op != "Sub" or difference.option("alpha", 1) != 1 or len(constants) != 1:
        return None
    residual = output(difference)
    if residual is None or residual.shape != prediction.shape or not residual.dtype.is_floating_point:
        return None
    target = prediction - residual if constants == [1] else prediction + residual
    if target.numel() < 2:
        return None
    lost, spread = torch.finfo(residual.dtype).eps * prediction.abs().max(), target.amax() - target.amin()
    return target if bool(lost <= _DIGITS * spread) and math.isfinite(spread) else None


def _with_names(term: Term, reading: Reading, frame: FrameType) -> Term:
    """The term with what the caller's variables add: names, and tensors that the graph does not hold."""
    found = find_operands(frame, reading.prediction, reading.difference, term.target)
    prediction, target = term.prediction, term.target
    if prediction is None:
        prediction = found.prediction
    if target is None:
        target = found.target
    names = {"name": found.prediction_name, "target_name": found.target_name}
    return replace(term, prediction=prediction, target=target, **names)


def _prediction(reading: Reading, spec: LossSpec) -> tuple[Tensor | None, str]:
    if reading.tensor is not None:
        return reading.tensor, reading.tensor_is or spec.input_space
    tensor = output(reading.prediction) if reading.prediction is not None else None
    return tensor, spec.input_space


def _structural_notes(notes: tuple[str, ...], part: Part, target: Tensor | None = None) -> tuple[str, ...]:
    """The notes of a reading with those that hold whatever loss it is."""
    tabled = "shape-broadcast" in notes or "all-pairs" in notes
    further = (*(() if tabled else part_notes(part)), *ending_notes(part, target))
    return (*notes, *(note for note in further if note not in notes))


def _target_notes(spec: LossSpec, target: Tensor | None) -> list[str]:
    if target is None or spec.task not in ("binary", "regression") or target.numel() < 2:
        return []
    if target.numel() > _CONSTANT_CHECK or not bool((target == target.reshape(-1)[0]).all()):
        return []
    return ["constant-target"]


def _floor(term: Term) -> float | None:
    """The floor with this batch's targets where the options alone do not tell."""
    spec = term.spec
    if spec is None or spec.floor is None:
        return None
    floor = spec.floor(term.options, None)
    if floor == 0 or term.target is None or (floor is not None and _is_of_each_element(term)):
        return floor
    stats = TargetStats()
    term.observe(stats)
    floor = spec.floor(term.options, stats)
    return None if floor is None else floor * term.elements(stats)


def _is_of_each_element(term: Term) -> bool:
    return term.reduction not in ("sum", "batchmean") and not term.options.get("ignored_as_zero")


def _unknown(part: Part) -> Term:
    node = part.node
    chain = _chain(node)
    inner = " ← ".join(n.op for n in node.below(_UNKNOWN_CHAIN))
    opaque = any("CompiledFunction" in name or name.endswith("Backward") for name in chain[:_UNKNOWN_CHAIN])
    count = max(1, node.numel)
    mean = part.means > 0 and part.averaged % count == 0
    reduction = "mean" if mean else "sum" if part.sums else "none"
    return Term(
        kind=f"unknown({inner})",
        spec=None,
        coefficient=part.scale * (count if mean else 1),
        reduction=reduction,
        value=None,
        prediction_shape=node.shape,
        activation=activation(node),
        chain=chain,
        notes=_structural_notes(("blind-spot",) if opaque else (), part),
    )


def _chain(node: Node) -> tuple[str, ...]:
    """Names of the node and of its first differentiable inputs."""
    names, function = [], node.fn
    while function is not None and len(names) < _CHAIN:
        names.append(function.name())
        function = next((f for f, _ in function.next_functions if f is not None), None)
    return tuple(names)
