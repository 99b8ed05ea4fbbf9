"""What autocast makes of an objective: it is a part of it, as it was in force where the objective was made.

Inside the model it does as its author wrote. What is computed of an objective's products is computed without.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor


def coarsest(types: Iterable[torch.dtype]) -> torch.dtype:
    """The type of real numbers of the largest rounding; double precision of none.

    >>> coarsest([torch.float32, torch.int64, torch.bfloat16])
    torch.bfloat16
    """
    real = [kind for kind in types if kind.is_floating_point]
    return max(real, key=lambda kind: torch.finfo(kind).eps, default=torch.float64)


def precision_of(value: Tensor) -> torch.dtype:
    """The coarsest type of what the graph of a value is made of. Cost: a walk over the graph."""
    types, pending, seen = {value.dtype}, [value.grad_fn], {value.grad_fn}
    while pending:
        node: Any = pending.pop()
        if node is None:
            continue
        types |= {output.dtype for output in node._input_metadata}
        fresh = {following for following, _ in node.next_functions} - seen
        seen |= fresh
        pending += fresh
    return coarsest(types)


def autocast_of_now(device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    """Contexts in which autocast is as it is now, whatever is in force around them.

    Without its cache, which would keep what was cast of parameters that have changed since.
    """
    kind = device.type
    if not torch.amp.is_autocast_available(kind):
        return nullcontext
    on, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    return lambda: torch.autocast(kind, dtype=dtype, enabled=on, cache_enabled=False)


@contextmanager
def without_autocast() -> Iterator[None]:
    """No autocast on any device.

    >>> a = torch.ones(1, 1)
    >>> with torch.autocast("cpu", torch.bfloat16), without_autocast():
    ...     (a @ a).dtype
    torch.float32
    """
    with ExitStack() as stack:
        for kind in ("cpu", "cuda", "xpu", "mps"):
            if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield
