"""What the losses that are one autograd node have in common."""

from collections.abc import Callable, Mapping
from typing import Any

from losscope.losses.graph.node import Node
from losscope.losses.graph.part import Part
from losscope.losses.spec import Reading, Signature

REDUCTIONS = {0: None, 1: "mean", 2: "sum"}


def own_reduction(node: Node) -> str | None:
    """The reduction that a fused loss did itself, ``None`` for ``reduction="none"``."""
    return REDUCTIONS.get(node.option("reduction", 0))


def fused(op: str, options: Callable[[Node], Mapping[str, Any]] | None = None) -> Signature:
    """The signature of a loss that autograd keeps as one node with ``self``, ``target``, ``reduction``."""

    def match(part: Part) -> Reading | None:
        node = part.node
        return Reading(
            prediction=node.inputs[0],
            tensor=node.saved("self"),
            target=node.saved("target"),
            target_node=node.inputs[1] if len(node.inputs) > 1 else None,
            options=dict(options(node)) if options else {},
            reduction=own_reduction(node),
        )

    return Signature((op,), match)


def unlike(option: str, value: object, default: object) -> dict[str, object]:
    """``{option: value}``, or nothing where the value is the default."""
    return {} if value is None or value == default else {option: value}
