"""Where in the user's files an error arose."""

import sysconfig
import traceback
from pathlib import Path

_LIBRARIES = tuple(
    str(Path(path).resolve())
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    if (path := sysconfig.get_path(name))
)
_OURS = str(Path(__file__).resolve().parents[1])


def place(error: BaseException) -> str:
    """ ", at file.py:12" for the innermost line of a file of the user's own; empty where there is none.

    Files of libraries count where no other was on the way; one in the working folder is told from there.

    >>> try:
    ...     import_module("no_such_module")
    ... except NameError as error:
    ...     place(error)
    ''
    """
    frames = [
        (str(Path(frame.filename).resolve()), frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
    ]
    frames = [(file, line) for file, line in frames if not file.startswith(_OURS) and "importlib" not in file]
    own = [(file, line) for file, line in frames if not file.startswith(_LIBRARIES)] or frames
    if not own:
        return ""
    file, line = own[-1]
    here = Path.cwd()
    shown = str(Path(file).relative_to(here)) if Path(file).is_relative_to(here) else file
    return f", at {shown}:{line}"
