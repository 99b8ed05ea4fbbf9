"""Rare events: one JSON line each, written at once."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from losscope.recording.append_thread import open_for_append, write_all
from losscope.recording.json_safe import dumps
from losscope.recording.redaction import redact_arguments

MAX_LINE = 8 << 20
"""Longest line in bytes; a longer event keeps its kind, time and step only."""


class EventLog:
    """Appends events to a file that it creates at the first one. Every method may raise ``OSError``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def write(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Writes one line with one write(2), so that lines of several processes do not mix."""
        own = {"time": round(time.time(), 6), "pid": os.getpid(), "event": kind}
        arguments = fields.get("argv")
        safe = {"argv": redact_arguments(arguments)} if isinstance(arguments, list | tuple) else {}
        line = dumps({"kind": kind, **fields, **safe, **own})
        if len(line) > MAX_LINE:
            line = dumps({"kind": kind, "step": fields.get("step"), "bytes_left_out": len(line), **own})
        if self._descriptor < 0:
            self._descriptor = open_for_append(self._path)
        write_all(self._descriptor, line + b"\n")

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
