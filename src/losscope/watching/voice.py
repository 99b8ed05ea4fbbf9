"""Says things to the user on stderr, whatever the script has done to ``sys.stderr``.

A script may close stderr, set it to ``None``, replace it by a logger or by an object that raises. What
losscope says then goes to the stream that was there before the script began; where nothing can be
written at all, it is not said: a verdict that nobody can read is no reason to change an exit code.
"""

import os
import sys
from collections.abc import Callable
from typing import TextIO


class Voice:
    """Speaks on the first usable stream of: ``sys.stderr`` as it is now, or when called, ``sys.__stderr__``."""

    def __init__(self) -> None:
        self._first: TextIO | None = sys.stderr

    def say(self, text: str) -> None:
        """One line, with losscope's name in front."""
        line = " ".join(f"losscope: {text}".split())
        self.write(lambda _: line + "\n")

    def terminal(self) -> TextIO | None:
        """The stream that it speaks on, where that is a terminal on which a line can be overwritten."""
        stream = next((s for s in (self._first, sys.stderr, sys.__stderr__) if s is not None), None)
        if os.environ.get("LOSSCOPE_QUIET") or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
            return None
        try:
            return stream if stream is not None and stream.isatty() else None
        except Exception:  # noqa: BLE001 - the stream may be anything that a script put there
            return None

    def write(self, render: Callable[[TextIO], str]) -> None:
        """Write what ``render(stream)`` returns; a stream that refuses it is passed over."""
        for stream in dict.fromkeys((self._first, sys.stderr, sys.__stderr__)):
            if stream is not None and _accepts(stream, render(stream)):
                return


def say(text: str) -> None:
    """One line to the user, from where no stream was kept before the script began."""
    Voice().say(text)


def _accepts(stream: TextIO, text: str) -> bool:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, errors="backslashreplace").decode(encoding))
        stream.flush()
    except Exception:  # noqa: BLE001 - the stream may be anything that a script put there
        return False
    return True
