"""A time limit for code of others that has to run in this process: an import, a constructor."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_AGAIN = 0.5  # seconds until it is said once more to code that catches everything


class Overrun(BaseException):
    """The time is up. No ``Exception``, so that code which catches those does not swallow it."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raises :class:`Overrun` within the block when its time is up.

    Only where there are timers that interrupt (not on Windows), and in the main thread; elsewhere there is no limit.
    """
    if (
        seconds is None
        or not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def ring(_number: int, _frame: Any) -> None:
        raise Overrun

    began, former = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        if left:  # another's timer goes on
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 1e-3), interval)
