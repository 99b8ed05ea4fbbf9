"""Which tensors of an output a loss is computed from, by the shape of the graph alone: no gradient is taken."""

from collections.abc import Sequence

from torch import Tensor


def suffices(chosen: Sequence[Tensor], loss: Tensor, parameters: Sequence[Tensor]) -> bool:
    """Whether every path from the loss to a parameter passes exactly one of the chosen tensors.

    A gradient cannot tell: that of ½‖b‖² is 0 at b = 0, and its Hessian is not.
    """
    if walk(loss, chosen, parameters)[1]:
        return False
    return not any(walk(one, [t for t in chosen if t is not one], parameters)[0] for one in chosen)


def walk(
    start: Tensor, stops: Sequence[Tensor], parameters: Sequence[Tensor], stop: bool = True
) -> tuple[set[int], bool]:
    """Which of ``stops`` the graph of ``start`` reaches, and whether a parameter, without passing these if ``stop``."""
    ends = {(t.grad_fn, t.output_nr): i for i, t in enumerate(stops)}
    own = {id(p) for p in parameters}
    reached: set[int] = set()
    leak = False
    first = (start.grad_fn, start.output_nr)
    pending, seen = [first], {first}
    while pending:
        edge = pending.pop()
        if edge in ends and edge != first:
            reached.add(ends[edge])
            if stop:
                continue
        node = edge[0]
        assert node is not None
        leak = leak or id(getattr(node, "variable", None)) in own
        for following in node.next_functions:
            if following[0] is not None and following not in seen:
                seen.add(following)
                pending.append(following)
    return reached, leak
