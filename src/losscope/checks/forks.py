"""A loss that forks: the copy of the process that comes back from the call must not go on with the audit."""

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 5.0  # seconds that a copy has to come back, the first time; half of it each time that none did
_shared = mmap.mmap(-1, 1)  # one byte that all copies see
_forks: list[int] = []  # one entry per fork of this process
_helpers: list[int] = []  # one entry per call whose copies did not come back


class Forked(Exception):
    """A copy of the process came back from a call."""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lambda: _forks.append(1))


@contextmanager
def one_process() -> Iterator[None]:
    """Ends the copies that leave this block, and raises :class:`Forked` in the original. Helpers of a loss that end by
    themselves are left alone."""
    process, before = os.getpid(), len(_forks)
    _shared[0] = 0
    try:
        yield
    finally:
        if os.getpid() != process:
            _shared[0] = 1
            os._exit(0)
    if len(_forks) != before and _came_back():
        raise Forked


def _came_back() -> bool:
    until = time.monotonic() + _PATIENCE / 2 ** len(_helpers)
    while not _shared[0] and time.monotonic() < until:
        time.sleep(0.01)
    if not _shared[0]:
        _helpers.append(1)
    return bool(_shared[0])
