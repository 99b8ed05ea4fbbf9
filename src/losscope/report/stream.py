"""What a stream can show: colours and columns."""

import os
from typing import TextIO


def wants_colour(stream: TextIO | None) -> bool:
    """Whether ``stream`` is a terminal that wants colours: ``NO_COLOR`` and ``TERM=dumb`` are honoured."""
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown"):
        return False
    return stream.isatty()


def columns(stream: TextIO | None) -> int:
    """Columns of the terminal, ``COLUMNS``, or 100; never so few that words fall apart."""
    told = os.environ.get("COLUMNS", "")
    if stream is not None and stream.isatty():
        try:
            return max(40, os.get_terminal_size(stream.fileno()).columns)
        except (OSError, ValueError):  # a stream that calls itself a terminal but has no descriptor
            return 80
    return max(40, int(told)) if told.isdecimal() else 100
