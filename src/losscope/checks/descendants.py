"""Ends everything that a process has started: helpers, helpers of these, and those that left for another session.

A keeper stands between the audit and the loss. It is the leader of a session, runs nothing of the user's, and adopts
what is orphaned below it (Linux: ``PR_SET_CHILD_SUBREAPER``; elsewhere only the process group of the loss is ended).
When the loss has ended, when the audit says so, or when the audit itself is gone, it ends all that is left.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

_SUBREAPER, _DEATH = 36, 1  # PR_SET_CHILD_SUBREAPER and PR_SET_PDEATHSIG of <linux/prctl.h>
_PATIENCE = 5.0  # seconds for those that are hard to end: in an uninterruptible wait of the kernel's
_LOOK = 0.01


def keep(work: Callable[[], None], leash: Connection, begun: Callable[[], None]) -> None:
    """Runs ``work`` in a child of this process, and ends all that it started once that has ended or the other end of
    ``leash`` says a word or is closed. How it ended (exit code, or minus the signal) is sent along ``leash``. ``begun``
    is called here once the child is there. Does not return. To be called in a forked process without threads.
    """
    os.setsid()
    _control(_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a loss that signals its parent
        signal.signal(number, signal.SIG_IGN)
    worker = os.fork()
    if worker == 0:
        _ordinary(leash)
        try:
            work()
        finally:
            os._exit(1)  # not reached unless it raised
    begun()
    status = _wait(worker, leash)
    _end_all(worker)
    with suppress(OSError):
        leash.send(status)
    os._exit(0)


def _ordinary(leash: Connection) -> None:
    """The child: its own process group, usual signals, no end of the leash; it does not outlive its keeper."""
    os.setpgid(0, 0)
    _control(_DEATH, signal.SIGKILL)
    leash.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _wait(worker: int, leash: Connection) -> int | None:
    """The child's end; ``None`` where it was not waited for."""
    while True:
        with suppress(ChildProcessError):
            pid, status = os.waitpid(worker, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        if leash.poll(_LOOK):
            return None


def _control(what: int, value: int) -> None:
    with suppress(OSError, AttributeError):  # not on Linux
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


def _end_all(worker: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended:
            continue
        for child in _children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(_LOOK / 10)


def _children() -> list[int]:
    """Children of this process, adopted ones included; none where the system does not tell."""
    mine, found = os.getpid(), []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            # pid (name) state parent …; a name may hold spaces and brackets
            if int(place.read_text().rpartition(")")[2].split()[1]) == mine:
                found.append(int(place.parent.name))
    return found
