"""A loss that forks: the copy of the process that comes back from the call must not go on with the audit."""

import mmap
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PATIENCE = 5.0  # seconds that a copy has to come back, the first time; half of it each time that none did
_LOOK = 0.01
_shared = mmap.mmap(-1, 1)  # one byte that all copies see
_inside: list[int] = []  # the process, while it is in a call
_pipes: list[
    tuple[int, int]
] = []  # one per fork in a call: a copy holds the second end for as long as it lives
_helpers: list[int] = []  # one entry per call whose copies live on
_back: list[int] = []  # one entry per call that copies came back from
_ENOUGH = 3  # such calls: a copy of the process each time costs too much


class Forked(Exception):
    """A copy of the process came back from a call."""


def _before() -> None:
    if _inside:
        _pipes.append(os.pipe())


def _in_parent() -> None:
    if _inside and _pipes:
        os.close(_pipes[-1][1])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent)


@contextmanager
def one_process() -> Iterator[None]:
    """Ends the copies that leave this block, and raises :class:`Forked` in the original. Helpers of a loss that end by
    themselves are left alone. After a few copies of one loss nothing more is called."""
    if len(_back) >= _ENOUGH:
        raise Forked
    process = os.getpid()
    _shared[0] = 0
    _inside.append(process)
    try:
        yield
    finally:
        if os.getpid() != process:
            _shared[0] = 1
            os._exit(0)
        _inside.pop()
        back = _came_back() if _pipes else False
    if back:
        _back.append(process)
        raise Forked


def forget() -> None:
    """Another loss: it may be called."""
    _back.clear()
    _helpers.clear()


def _came_back() -> bool:
    """Whether a copy does, before all have ended."""
    until = time.monotonic() + _PATIENCE / 2 ** len(_helpers)
    ends = [end for end, _ in _pipes]
    _pipes.clear()
    with suppress(OSError, ValueError):  # the loss has closed what it has not opened
        left = ends
        while left and not _shared[0] and time.monotonic() < until:
            ended, _, _ = select.select(left, [], [], _LOOK)
            left = [end for end in left if end not in ended]
        if left and not _shared[0]:
            _helpers.append(1)
    for end in ends:
        with suppress(OSError):
            os.close(end)
    return bool(_shared[0])
