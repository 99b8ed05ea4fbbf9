"""Only one session at a time has its hooks in torch: a watch begun inside a watched run takes over.

``losscope.watch()`` may stand in a script that ``losscope run`` runs, or inside another ``watch()``. Each
update is then recorded once, by the innermost one. Sessions may end in any order: a generator that was
abandoned ends its ``with`` block when it is collected.
"""

import os
from pathlib import Path
from typing import Protocol


class Participant(Protocol):
    """A session as seen from here."""

    folder: Path

    def pause(self, folder: Path) -> None: ...

    def resume(self) -> None: ...


class Turns:
    """The sessions of this process that have begun and not ended, outermost first."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._sessions: list[Participant] = []

    def take(self, session: Participant) -> None:
        """``session`` begins: the one before it pauses."""
        if self._process != os.getpid():  # what a forked child inherited watches nothing here
            self._process, self._sessions = os.getpid(), []
        if self._sessions:
            self._sessions[-1].pause(session.folder)
        self._sessions.append(session)

    def leave(self, session: Participant) -> None:
        """``session`` ends: if it was its turn, the one before it goes on."""
        if session not in self._sessions:
            return
        had_turn = self._sessions[-1] is session
        self._sessions.remove(session)
        if had_turn and self._sessions:
            self._sessions[-1].resume()


TURNS = Turns()
