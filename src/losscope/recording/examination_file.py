"""The examination of a run's objective, as it lies in the run folder. No pickle: JSON, and of that what is expected."""

import json
from pathlib import Path
from typing import Any

FILE = "examination.json"
_LARGEST = 16 << 20


def read_examination(folder: Path | None) -> dict[str, Any] | None:
    """The document, or ``None`` where there is none that can be read."""
    if folder is None:
        return None
    path = folder / FILE
    try:
        if path.stat().st_size > _LARGEST:
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == 1 else None
