"""A thread that the watched script does not see."""

import _thread
import signal
import threading
from collections.abc import Callable

_OWN_FAULTS = {signal.SIGSEGV, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}


class HiddenThread:
    """Runs ``target`` on a daemon thread that ``threading`` does not know.

    Scripts wait for ``threading.active_count() == 1``, enumerate their threads, or trace them with
    ``threading.settrace``; a thread of ours must not be among them. Nor does it take signals: a script
    that blocks one in its own threads to ``sigwait`` for it would be killed by it through ours.

    ``target`` must not raise, nor call ``threading.current_thread()`` (which registers the thread).
    """

    def __init__(self, target: Callable[[], None]) -> None:
        self._target = target
        self._ended = threading.Event()
        self._ident = 0

    def start(self) -> None:
        """Raises ``RuntimeError`` where no thread can be started."""
        self._ident = _thread.start_new_thread(self._run, ())

    @property
    def alive(self) -> bool:
        return self._ident != 0 and not self._ended.is_set()

    def join(self, timeout: float) -> bool:
        """Waits for the end; false when ``timeout`` seconds were too few. On the thread itself: no wait."""
        if not self.alive or self._ident == threading.get_ident():
            return not self.alive
        return self._ended.wait(timeout)

    def _run(self) -> None:
        try:
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _OWN_FAULTS)
            self._target()
        finally:
            self._ended.set()
