"""Where in the user's own code something happened."""

import site
import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import FrameType

from losscope.core.finding import Where

_OURS = str(Path(__file__).resolve().parent.parent)
_LIBRARIES = tuple(
    {
        str(Path(p).resolve())
        for p in [*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()]
        if Path(p).name in {"site-packages", "dist-packages"} or "python3" in Path(p).name
    }
)


@cache
def is_library(filename: str) -> bool:
    """Whether a source file belongs to losscope, the standard library or an installed package."""
    if filename.startswith("<"):
        return not filename.startswith(("<ipython", "<string>"))
    path = str(Path(filename).resolve()) if not filename.startswith("/") else filename
    return path.startswith((_OURS, *_LIBRARIES))


def user_frame(depth: int = 1) -> FrameType | None:
    """The innermost frame on the stack that is the user's own code."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def where(frame: FrameType | None) -> Where | None:
    return Where(frame.f_code.co_filename, frame.f_lineno) if frame is not None else None


def call_path(depth: int = 1) -> tuple[tuple[str, int], ...]:
    """All lines of the user's code on the stack, innermost first: tells two calls of one helper apart."""
    frame: FrameType | None = sys._getframe(depth)
    path = []
    while frame is not None:
        if not is_library(frame.f_code.co_filename):
            path.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(path)
