"""The state of the interpreter that judging needs, whatever the script has set it to."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_DEPTH = 1000  # python's own default


@contextmanager
def usual_conditions() -> Iterator[None]:
    """Undo for a while what a script may have set for itself, and put it back afterwards.

    Warnings and numpy's floating-point faults that were made errors are neither; the recursion limit is at
    least python's default, counted from here.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _stack_depth() + _DEPTH))
    try:
        import numpy as np  # lazy: the script may set variables that numpy reads when it is imported

        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.setrecursionlimit(limit)


def _stack_depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    return depth
