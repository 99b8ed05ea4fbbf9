"""Turns a template found in a live graph into a reading: prediction, target, options and value."""

from math import prod
from typing import Any

import torch
from torch import Tensor

from losscope.losses.arguments import Argument
from losscope.losses.graph.fit import Bound
from losscope.losses.graph.node import Node
from losscope.losses.graph.trace import apart, options_of
from losscope.losses.graph.values import output
from losscope.losses.spec import Reading

_EVALUATED = 1 << 20  # elements; larger losses are not computed a second time
_CLASSES = frozenset({"class-index", "class-index-map", "ordinal-index", "groups"})
_DISTRIBUTIONS = frozenset({"one-hot", "distribution"})
_BINARY = frozenset({"binary", "binary-label", "mask", "unit", "events"})
# What may stand for a prediction that no operation kept: (operation, how it is had from the result, its name).
_RESULTS = {
    "LogSoftmax": (lambda r: r, "log-probabilities"),
    "Softmax": (torch.log, "log-probabilities"),
    "Sigmoid": (torch.logit, "logits"),
}


def reading_of(bound: Bound) -> Reading:
    """The reading of a loss recognised by its template."""
    template = bound.template
    spec, form = template.spec, template.form
    first = min(form.arguments)
    prediction = bound.holes[first].node
    tensor, tensor_is = _prediction(bound, first)
    position = next((k for k, a in enumerate(spec.arguments) if a.role == "target"), None)
    difference = bound.nodes[template.difference] if template.difference is not None else None
    hidden = {"reduction", *template.unknown}
    options = {n: v for n, v in options_of(spec, form).items() if n not in hidden} | dict(bound.options)
    if position is not None:
        options |= {"target": _kind(spec.arguments[position]), "has_target": True}
    return Reading(
        prediction=prediction,
        tensor=tensor,
        tensor_is=tensor_is,
        target=None if position is None or _is_proxy(bound, position) else _argument(bound, position),
        target_node=None if position is None or position not in bound.holes else bound.holes[position].node,
        options=options | _sizes(spec.arguments[first], prediction),
        reduction=None if form.reduction == "none" else form.reduction or "mean",
        difference=difference,
        output=lambda: evaluated(bound, bound.options),
    )


def _kind(argument: Argument) -> str:
    for names, kind in ((_CLASSES, "class"), (_DISTRIBUTIONS, "distribution"), (_BINARY, "binary")):
        if argument.kind in names:
            return kind
    return "real"


def _is_proxy(bound: Bound, position: int) -> bool:
    """Whether only something equivalent is known: labels of this batch for groups."""
    place = bound.template.places.get(position)
    return place is not None and place.how == "groups"


def _axes(argument: Argument) -> list[str]:
    return (argument.axes or argument.of.axes).split()


def _sizes(argument: Argument, node: Node) -> dict[str, int]:
    """How many classes and how many samples there are, where the prediction has such axes."""
    axes = _axes(argument)
    sizes: dict[str, int] = {}
    if len(node.shape) >= len(axes) and "C" in axes:
        sizes["num_classes"] = node.shape[axes.index("C")]
    if node.shape and argument.kind == "embeddings" and axes[0] == "N":
        sizes["candidates"] = node.shape[0]
    return sizes


def _prediction(bound: Bound, position: int) -> tuple[Tensor | None, str | None]:
    """The output that the loss judges, or what an activation above it kept."""
    node = bound.holes[position].node
    value = output(node)
    if value is not None:
        return value, None
    entries = bound.template.pattern.entries
    uses = [i for i, e in enumerate(entries) if any(c and c.argument == position for c in e.children)]
    if len({entries[i].op for i in uses}) == 1 and entries[uses[0]].op in _RESULTS:
        inverse, name = _RESULTS[entries[uses[0]].op]
        result = bound.nodes[uses[0]].saved("result")
        if result is not None and result.numel() == node.numel:
            return inverse(result).reshape(node.shape), name
    return None, None


def _argument(bound: Bound, position: int) -> Tensor | None:
    """An argument, from where autograd keeps it, in the shape that the function takes."""
    if position in bound.template.form.arguments:
        return _prediction(bound, position)[0] if position in bound.holes else None
    tensor = bound.tensors.get(position)
    if tensor is None:
        return None
    first = min(bound.template.form.arguments)
    argument, node = bound.template.spec.arguments[position], bound.holes[first].node
    if not argument.of.integer and not tensor.dtype.is_floating_point:
        tensor = tensor.to(node.dtype)
    judged = _axes(bound.template.spec.arguments[first])
    for axes, shape in (
        (judged, node.shape),
        ([a for a in judged if a != "C"], _without(judged, node.shape)),
    ):
        if _axes(argument) == axes and tensor.numel() == prod(shape):
            return tensor.reshape(shape)
    return tensor


def _without(axes: list[str], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without the axis of the classes."""
    place = axes.index("C") if "C" in axes else len(shape)
    return shape[:place] + shape[place + 1 :]


def evaluated(bound: Bound, options: Any) -> Tensor | None:
    """The loss by its own function from what the graph keeps, in the shape of its node; ``None`` where it is
    not all there, or large."""
    spec, form, root = bound.template.spec, bound.template.form, bound.nodes[0]
    large = max(n.numel for n in bound.nodes.values()) > _EVALUATED
    if large or spec.function is None or bound.template.unknown:
        return None
    inputs = [_argument(bound, k) for k in range(len(spec.arguments))]
    if any(t is None or t.numel() > _EVALUATED for t in inputs):
        return None
    try:
        with apart(grad=False):
            value = spec.function(*inputs, **options_of(spec, form) | dict(options))
    except Exception:  # noqa: BLE001 - shapes that the function does not take are no reason to fail
        return None
    if value.numel() != root.numel or not bool(value.isfinite().all()):
        return None
    return value.reshape(root.shape)
