"""Where in the user's own code something happened."""

import signal
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType

from losscope.core.finding import Where

_OURS = str(Path(__file__).resolve().parent.parent)
_DEMO = _OURS + "/demo_scripts/"
_RUNNER = str(Path(__file__).with_name("script_runner.py"))  # below it lies what started losscope
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
    path = str(Path(filename).resolve())  # Python names a file as it was found, maybe by way of a link
    if any(f"/{name}/" in way for name in ("site-packages", "dist-packages") for way in (path, filename)):
        return True
    return path.startswith((_OURS, *_LIBRARIES)) and not path.startswith(_DEMO)


def user_frame() -> FrameType | None:
    """The innermost frame on the stack that is the user's own code."""
    return next(_user_frames(), None)


def where(frame: FrameType | None) -> Where | None:
    return Where(frame.f_code.co_filename, frame.f_lineno) if frame is not None else None


def call_path() -> tuple[tuple[str, int], ...]:
    """All lines of the user's code on the stack, innermost first: tells two calls of one helper apart."""
    return tuple((frame.f_code.co_filename, frame.f_lineno) for frame in _user_frames())


def raised_by_signal_handler(error: BaseException) -> bool:
    """Whether an exception came out of a Python signal handler that struck while other code ran."""
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()} - {
        None
    }
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _user_frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != _RUNNER:
        if not is_library(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back
