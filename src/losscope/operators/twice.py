"""One line for what torch cannot differentiate twice: losses such as CTC and the margin losses, layers such as bags."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from losscope.core.errors import BadUsage

_REFUSED = re.compile(
    r"derivative for '?(?:aten::)?(\w+)'? is not implemented|differentiate twice|double backward",
    re.IGNORECASE,
)


@contextmanager
def differentiable_twice() -> Iterator[None]:
    """Raises ``BadUsage``, with the operation, where torch has no second derivative; every other error is let through.

    Also a decorator of functions.
    """
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        found = _REFUSED.search(str(error))
        if found is None:
            raise
        name = (found[1] or "").strip("_").removesuffix("_backward") or str(error).partition("\n")[0]
        raise BadUsage(
            "torch has no second derivative of an operation in this objective",
            seen=name,
            remedy="the value and the gradient of the objective can be had, its curvature cannot",
        ) from error
