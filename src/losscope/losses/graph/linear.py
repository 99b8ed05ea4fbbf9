"""The linear structure on top of an objective: L = Σ scale · reduce(weights · part) + constant.

Sums, differences, constant factors, reductions, views, stacking and selection are linear, so every
objective is a sum of *parts* with known factors. ``parts_of`` takes that structure apart until it meets
operations that are not linear; what the parts are is the business of the signatures.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from losscope.losses.graph.node import Node
from losscope.losses.graph.part import PICKS, Part
from losscope.losses.graph.steps import STEPS, adds_constant

MAX_VISITS = 20_000
MAX_ELEMENTWISE = 200


@dataclass(slots=True)
class Decomposition:
    """The parts of an objective in the order of the code. ``constant``: something may be added to them."""

    parts: list[Part] = field(default_factory=list)
    constant: bool = False
    complete: bool = True


def parts_of(root: Node, is_whole: Callable[[Part], bool]) -> Decomposition:
    """Take the linear structure below ``root`` apart; a part for which ``is_whole`` is true stays whole.

    The work is bounded: a graph that doubles a value thirty times has 2³⁰ paths, and a residual network
    is a long sum. Beyond the bounds parts stay as they are, or ``complete`` is false.
    """
    found = Decomposition()
    stack = [Part(root)]
    visits = elementwise = 0
    while stack:
        visits += 1
        if visits > MAX_VISITS:
            return Decomposition([Part(root)], constant=True, complete=False)
        part = stack.pop()
        if part.anchor is None and part.node.numel > 1 and part.sums + part.means > 0:
            part = part._replace(anchor=part)
        children = None
        if not is_whole(part) and elementwise < MAX_ELEMENTWISE:
            children = _children(part)
            elementwise += part.anchor is not None
        if children is None:
            found.parts.append(part)
        else:
            found.constant = found.constant or adds_constant(part.node)
            stack.extend(reversed(children))
    return found


def _children(part: Part) -> list[Part] | None:
    node = part.node
    step = STEPS.get(node.op)
    if step is None or (node.index != 0 and node.op not in PICKS):
        return None
    return step(part)
