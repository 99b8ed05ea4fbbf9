"""The factors with which the parts of a loss enter it, as its graph has them: 1/n of a mean, 1/Σw of a weighted one."""

import math

from torch import Tensor

from losscope.anatomy.quiet import Quiet
from losscope.core.errors import NotReadable
from losscope.losses.graph.linear import parts_of
from losscope.losses.graph.node import Graph, Node, is_plain
from losscope.losses.graph.steps import constant_factor


def factors_of(loss: Tensor) -> tuple[float, ...]:
    """Size of the factor of each part that is not linear; infinite for what is divided by 0. Empty where unknown."""
    if not is_plain(loss) or loss.grad_fn is None:
        return ()
    graph = Graph()
    try:
        with Quiet():
            parts = parts_of(graph.node(loss.grad_fn, loss.output_nr), lambda part: False).parts
            return tuple(math.inf if _by_nothing(part.node) else abs(part.scale) for part in parts)
    except (NotReadable, RuntimeError):  # saved tensors that are gone, or packed by hooks
        return ()
    finally:
        graph.close()


def _by_nothing(node: Node) -> bool:
    if node.op != "Div":
        return False
    found = constant_factor(node)
    return found is not None and not isinstance(found[1], Tensor) and found[1] == 0
