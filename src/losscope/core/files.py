"""Files that appear whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to a temporary neighbour and move it into place.

    A reader sees the old file or the new one, never half of it. Lone surrogates, which file names
    that are not UTF-8 bring along, become question marks. Raises ``OSError``.
    """
    replace_atomically(path, text.encode("utf-8", errors="replace"))


def replace_atomically(path: Path, content: bytes) -> None:
    """The same for bytes."""
    temporary = temporary_neighbour(path, content)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_neighbour(path: Path, content: bytes) -> Path:
    """A complete file of that content beside ``path``, readable by the owner alone. Raises ``OSError``."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
