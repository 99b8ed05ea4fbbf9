"""What the losses over classes have in common in a graph: picked log-probabilities, options, faults."""

from torch import Tensor

from losscope.losses.graph.axes import axis_above
from losscope.losses.graph.constants import has_both_signs, is_binary, product
from losscope.losses.graph.forms import LogProbabilities, activation, is_softmax, log_probabilities
from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.graph.values import output
from losscope.losses.spec import Reading

NLL_OPS = ("NllLoss", "NllLoss2D")


def feeding_notes(found: LogProbabilities, classes: int, axis: int | None) -> tuple[str, ...]:
    """What is structurally wrong with the scores that enter the log-softmax."""
    notes = []
    if found.logits is not None and is_softmax(found.logits):
        notes.append("double-softmax")
    elif found.logits is not None and activation(found.logits) == "sigmoid":
        notes.append("sigmoid-before-logits-loss")
    shape = found.node.shape
    if found.dim is not None and shape and axis is not None:
        dim = found.dim % len(shape)
        if shape[dim] != classes or (dim != axis % len(shape) and len(shape) > 1):
            notes.append("wrong-softmax-dimension")
    return tuple(notes)


def nll_options(node: Node, classes: int) -> dict[str, object]:
    """The options of ``nll_loss`` that differ from the defaults, and the number of classes."""
    options: dict[str, object] = {"num_classes": classes, "target": "class"}
    options["ignore_index"] = node.option("ignore_index", -100)
    weight = node.saved("weight")
    if weight is not None:
        options["weight"] = weight.tolist()
    return options


def class_options(classes: int, notes: tuple[str, ...], target: str = "class") -> dict[str, object]:
    """The options that every form of the loss has."""
    options: dict[str, object] = {"num_classes": classes, "target": target}
    if "double-softmax" in notes:
        options["double_softmax"] = True
    return options


def picked_target(node: Node) -> tuple[Tensor | None, int | None]:
    """(class indices, class axis) of ``gather(dim, y)`` with one index per row, or ``x[arange(n), y]``."""
    child = node.inputs[0]
    assert child is not None
    if node.op == "Gather":
        axis = node.option("dim") % max(1, len(child.shape))
        index = node.saved("index")
        one_each = index is not None and index.dim() == len(child.shape) and index.shape[axis] == 1
        return (index.squeeze(axis), axis) if one_each and index is not None else (None, None)
    indices = node.saved_list("indices")
    if len(indices) != len(child.shape) or any(i is None or i.dtype.is_floating_point for i in indices):
        return None, None
    return indices[-1], len(indices) - 1


def picked_log_probabilities(part: Part) -> Reading | None:
    """``log_softmax(z).gather(dim, y)`` or ``log_softmax(z)[arange, y]``, to be maximised."""
    node = part.node
    if node.inputs[0] is None:
        return None
    found = log_probabilities(node.inputs[0])
    if found is None:
        return None
    target, axis = picked_target(node)
    if target is None or axis is None:
        return None
    shape = node.inputs[0].shape
    notes = feeding_notes(found, shape[axis], axis_above(node.inputs[0], axis, found.node))
    options = class_options(shape[axis], notes)
    if found.sampled:
        options["distribution_form"] = True
    return Reading(
        prediction=found.logits,
        tensor=output(node.inputs[0]),
        tensor_is="log-probabilities",
        target=target,
        options=options,
        sign=-1.0,
        notes=notes,
    )


def has_advantages(weights: tuple[Tensor, ...], reading: Reading) -> bool:
    """Whether constant weights on picked log-probabilities are advantages and not sample weights."""
    weight = product(weights)
    if weight is None or weight.numel() < 2:
        return False
    sampled = bool(reading.options.get("distribution_form"))
    return has_both_signs(weight) or (sampled and not is_binary(weight))
