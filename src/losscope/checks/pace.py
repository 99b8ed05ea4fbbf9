"""How fast a loss answers: counted in all processes of an audit, to be read when one of them runs out of time."""

import mmap
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LAYOUT = struct.Struct("qqd")
_shared = mmap.mmap(-1, _LAYOUT.size)  # calls begun, calls returned, seconds of the latter


@contextmanager
def counted() -> Iterator[None]:
    """One call of the loss; one that raises has returned."""
    begun, returned, seconds = _LAYOUT.unpack(_shared[:])
    _shared[:] = _LAYOUT.pack(begun + 1, returned, seconds)
    began = time.perf_counter()
    try:
        yield
    finally:
        _shared[:] = _LAYOUT.pack(begun + 1, returned + 1, seconds + time.perf_counter() - began)


def forget() -> None:
    """Another loss: nothing is known of it."""
    _shared[:] = _LAYOUT.pack(0, 0, 0.0)


def told(limit: float) -> str:
    """What the calls did for which ``limit`` seconds were not enough."""
    begun, returned, seconds = _LAYOUT.unpack(_shared[:])
    if returned and 2 * seconds > limit:
        return f"a call takes about {seconds / returned:.2g} s, and {returned} did not show what it takes"
    return "its first call did not return" if begun <= 1 else f"call {begun} did not return"
