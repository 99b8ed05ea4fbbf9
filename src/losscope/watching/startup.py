"""The watch in a process that the user did not start through ``losscope run`` itself.

Such a process may be a rank of a distributed training, a launcher's agent, a data-loader worker or pip.
Nothing is recorded, and hardly anything imported, until it imports torch; the session then waits for the
first training step before it writes a byte. So only processes that train leave a segment.
"""

import atexit
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from losscope.watching.child_processes import ProcessGuard
from losscope.watching.import_hook import WhenImported, when_imported
from losscope.watching.options import RunOptions
from losscope.watching.script_ending import Ending, ending_of
from losscope.watching.voice import say

if TYPE_CHECKING:
    from losscope.watching.session import Session

RUN_VARIABLE = "LOSSCOPE_RUN"


class LazyWatch:
    """Starts a recording session when torch has been imported, and ends it with the process."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._session: Session | None = None
        self._guard = ProcessGuard(self._before_end, self._forked, options)
        self._finder: WhenImported | None = None

    def begin(self) -> None:
        """Register the end of the process now, so that handlers of the user's code run before ours."""
        atexit.register(self._at_exit)
        self._finder = when_imported("torch", self._start)

    def stand_down(self) -> None:
        """Leave this process to another watch, if no session has started."""
        atexit.unregister(self._at_exit)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)

    def _start(self, _torch: ModuleType) -> None:
        try:
            from losscope.watching.session import Session  # lazy: only processes with torch need it

            session = Session(self._options, sys.argv[0] if sys.argv else "")
            session.start()
            self._guard.install()
            self._session = session
        except Exception as error:  # noqa: BLE001 - promise 1: a fault inside losscope never stops the script
            tell_unwatched(error)

    def _forked(self) -> None:
        if self._session:
            self._session.after_fork_in_child()

    def _at_exit(self) -> None:
        # The interpreter keeps an uncaught exception here; an exit code it tells nobody.
        self._finish(ending_of(getattr(sys, "last_value", None)))

    def _before_end(self, status: int | None) -> int:
        self._finish(Ending("killed-by-exit", status or 0))
        return status or 0

    def _finish(self, ending: Ending) -> None:
        if self._session is None or self._guard.in_fork:
            return
        session, self._session = self._session, None
        code = None if ending.status == "finished" else ending.exit_code
        session.script_ended(ending.status, code, ending.exception)
        session.finish()


_begun: dict[int, LazyWatch] = {}


def begin(options: RunOptions) -> None:
    """Watch this process from its first training step on, once, however often it is asked for.

    A fault in here does not reach the process; it is told in one line.
    """
    if os.getpid() in _begun:
        return
    try:
        watch = LazyWatch(options)
        _begun[os.getpid()] = watch
        watch.begin()
    except Exception as error:  # noqa: BLE001 - promise 1
        tell_unwatched(error)


def below_launcher(options: RunOptions) -> RunOptions:
    """The options of a ``losscope run`` below a watched launcher: it records, and the launcher's run judges.

    The lazy watch that began with this process is called off. Elsewhere the options stay as they are.
    """
    folder = os.environ.get(RUN_VARIABLE)
    if not folder:
        return options
    watch = _begun.pop(os.getpid(), None)
    if watch is not None:
        watch.stand_down()
    return replace(options, out=Path(folder), launched=True)


def tell_unwatched(error: Exception) -> None:
    """Say in one line why this process goes unwatched."""
    say(f"cannot watch this process: {error!r}; it runs unwatched")
