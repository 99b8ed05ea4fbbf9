"""While a user's modules are run again, they write no file, start no process and speak to nobody.

A forward pass may append to a log or send a figure to a tracker. Made again it would do so again, about updates that
never were. Python tells every such act to its audit hooks before it is done; ours raises for the thread that replays,
and then the run is not replayable. A hook cannot be taken out again: it is set when the first replay begins, that is
after the script, and costs the look at one variable at each audited act afterwards. What is written without Python, or
into a file that is open already, is not seen.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

_ACTS = frozenset(
    {
        *(
            "os.remove",
            "os.rename",
            "os.mkdir",
            "os.rmdir",
            "os.link",
            "os.symlink",
            "os.truncate",
            "os.chmod",
        ),
        *("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.kill", "subprocess.Popen"),
        *(
            "socket.connect",
            "socket.sendto",
            "socket.sendmsg",
            "shutil.rmtree",
            "shutil.move",
            "sqlite3.connect",
        ),
    }
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Touches(PermissionError):
    """The user's code was about to act on more than its own memory. Imports go on without what they would cache."""


class _Guard:
    """``thread`` is the one that replays; 0: none."""

    def __init__(self) -> None:
        self.thread = 0
        self.set = False

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.thread and self.thread == get_ident() and (event in _ACTS or _writes(event, arguments)):
            raise Touches(f"it would have called {event} {arguments[0]!r:.80}")


_GUARD = _Guard()


def _writes(event: str, arguments: tuple[Any, ...]) -> bool:
    if event != "open" or arguments[0] == os.devnull:
        return False
    mode, flags = arguments[1], arguments[2]
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return bool(isinstance(flags, int) and flags & _WRITES)


@contextmanager
def nothing_written() -> Iterator[None]:
    """Raises ``Touches`` in this thread where a file would be written, a process started or a message sent."""
    if not _GUARD.set:
        sys.addaudithook(_GUARD.hook)
        _GUARD.set = True
    before, _GUARD.thread = _GUARD.thread, get_ident()
    try:
        yield
    finally:
        _GUARD.thread = before
