"""Readings of losses that are a function of prediction - target, fused or written by hand."""

from torch import Tensor

from losscope.losses.graph.differences import Residual, table_notes
from losscope.losses.graph.fused import own_reduction
from losscope.losses.graph.node import Node
from losscope.losses.graph.outer import is_table, repeated_axes, stretched_axes
from losscope.losses.graph.part import VIEWS
from losscope.losses.graph.values import output
from losscope.losses.spec import Reading

_EXPAND = frozenset({"Expand"})


def of_residual(found: Residual) -> Reading:
    """The reading of an elementwise function of a difference.

    Autograd keeps neither operand of a difference, so the target is known only where it needs a
    gradient itself (and can be recomputed), or where the caller's frame holds it.
    """
    options: dict[str, object] = {"target": "real", "has_target": True}
    notes = table_notes(found)
    if found.constant_target:
        notes = (*notes, "constant-target")
    prediction = _unexpanded(found.prediction)
    return Reading(
        prediction=prediction,
        tensor=output(prediction) if prediction is not None else None,
        target=output(found.target) if found.target is not None else None,
        target_node=found.target,
        options=options,
        notes=notes,
        difference=found.node,
    )


def of_fused(node: Node, **options: object) -> Reading:
    """The reading of a fused loss of ``self`` and ``target``, either of which may be the prediction."""
    prediction, target = node.saved("self"), node.saved("target")
    sides: list[Node | None] = [*node.inputs, None][:2]
    if sides[0] is None:  # the arguments are the wrong way round, or the first one was detached
        sides, prediction, target = sides[::-1], target, prediction
    notes = ()
    if _both_stretched(sides, (prediction, target)):
        notes = ("shape-broadcast",)
    return Reading(
        prediction=_unexpanded(sides[0]),
        tensor=prediction,
        target=target,
        target_node=sides[1],
        options={"target": "real", **options},
        reduction=own_reduction(node),
        notes=notes,
    )


def _unexpanded(node: Node | None) -> Node | None:
    return node.skip(_EXPAND) if node is not None else None


def _both_stretched(sides: list[Node | None], tensors: tuple[Tensor | None, Tensor | None]) -> bool:
    """Whether the loss stretched both of its arguments into a table of every pair."""
    node = sides[0]
    if node is None or node.op != "Expand":
        return False
    ours, theirs = stretched_axes(node.skip(_EXPAND).shape, node.shape), frozenset[int]()
    if sides[1] is not None:
        theirs = stretched_axes(sides[1].skip(_EXPAND).shape, node.shape)
    elif tensors[1] is not None and tuple(tensors[1].shape) == node.shape:
        theirs = repeated_axes(tensors[1])
    return is_table(ours, theirs, node.shape)


def skip_views(node: Node | None) -> Node | None:
    """``node`` below views that keep every element."""
    return None if node is None else node.skip(VIEWS - {"Expand"})
