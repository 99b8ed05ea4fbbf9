"""What python does between the last line of a script and the end of the process, step by step.

Python finalises in this order: the traceback or the message of ``SystemExit`` is printed, threads that are
not daemons are waited for, ``atexit`` handlers run, standard streams are flushed. losscope has to give its
verdict after the handlers, because they may still train or print, and may then have to change the exit code.
So these steps are taken here, one by one, with the interpreter's own functions; when the interpreter
afterwards finalises in earnest, there is nothing left for the first three to do.
"""

import atexit
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

Status = Literal["finished", "exit", "exception", "interrupted", "killed-by-exit"]

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Ending:
    """How the main module of the script came to its end, and the exit code that python gives it."""

    status: Status
    exit_code: int
    exception: BaseException | None = None


def ending_of(exception: BaseException | None) -> Ending:
    """Classify what left the main module, by python's own rules for exit codes."""
    if exception is None:
        return Ending("finished", 0)
    if isinstance(exception, SystemExit):
        return Ending("exit", exit_code_of(exception), exception)
    if isinstance(exception, KeyboardInterrupt):
        return Ending("interrupted", INTERRUPTED, exception)
    return Ending("exception", 1, exception)


def exit_code_of(exception: SystemExit) -> int:
    """The code that a process ends with after ``SystemExit``: 0 for ``None``, 1 for no integer."""
    code = getattr(exception, "code", None)
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF if -(2**63) <= code < 2**63 else 0xFF
    return 1


def print_ending(ending: Ending) -> int:
    """Print what python would print; returns the exit code, which an excepthook may change."""
    if ending.exception is None:
        return ending.exit_code
    if isinstance(ending.exception, SystemExit):
        print_exit_message(ending.exception)
        return ending.exit_code
    replaced = print_exception(ending.exception)
    return ending.exit_code if replaced is None else replaced


def print_exit_message(exception: SystemExit) -> None:
    """``sys.exit("text")`` writes the text to stderr; a number or ``None`` writes nothing."""
    code = getattr(exception, "code", None)
    if code is None or isinstance(code, int) or sys.stderr is None:
        return
    # Python, too, drops the text where the object cannot be written, and ends the line all the same.
    with suppress(Exception):
        sys.stderr.write(str(code))
    sys.stderr.write("\n")
    sys.stderr.flush()


def print_exception(exception: BaseException) -> int | None:
    """Hand an uncaught exception to ``sys.excepthook`` as the interpreter does.

    Returns the exit code where the hook itself asked to exit, else ``None``.
    """
    kind, trace = type(exception), exception.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = kind, exception, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = exception
    hook = getattr(sys, "excepthook", None)
    if hook is None:
        sys.stderr.write("sys.excepthook is missing\n")
        sys.__excepthook__(kind, exception, trace)
        return None
    try:
        hook(kind, exception, trace)
    except SystemExit as error:
        print_exit_message(error)
        return exit_code_of(error)
    except BaseException as error:  # noqa: BLE001 - whatever the user's hook raises is reported as python does
        failure = error.with_traceback(without_first_frame(error.__traceback__))
    else:
        return None
    failure.__context__ = None if failure.__context__ is exception else failure.__context__
    sys.stderr.write("Error in sys.excepthook:\n")
    sys.__excepthook__(type(failure), failure, failure.__traceback__)
    sys.stderr.write("\nOriginal exception was:\n")
    sys.__excepthook__(kind, exception, trace)
    return None


def hide_frames(exception: BaseException, files: frozenset[str]) -> None:
    """Take frames of ``files`` out of the tracebacks of an exception and of all that it is chained to."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [exception]
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        error.__traceback__ = without_frames(error.__traceback__, files)
        waiting += [error.__cause__, error.__context__]
        if isinstance(error, BaseExceptionGroup):
            waiting += error.exceptions


def without_frames(trace: TracebackType | None, files: frozenset[str]) -> TracebackType | None:
    """The traceback without the frames whose code comes from ``files``; the others are linked in place."""
    kept: list[TracebackType] = []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename not in files:
            kept.append(trace)
        trace = trace.tb_next
    for link, following in zip(kept, [*kept[1:], None], strict=False):
        link.tb_next = following
    return kept[0] if kept else None


def above_hooks(trace: TracebackType | None, package: str) -> TracebackType | None:
    """The traceback down to where the first function of ``package`` was called.

    An interrupt may strike while one of our hooks runs; python would have shown the user's line.
    """
    link = trace
    while link is not None:
        following = link.tb_next
        if following is not None and following.tb_frame.f_code.co_filename.startswith(package):
            link.tb_next = None
        link = link.tb_next
    return trace


def without_first_frame(trace: TracebackType | None) -> TracebackType | None:
    """The traceback below the frame of losscope that called into the user's code."""
    return trace.tb_next if trace else None


def wait_for_threads() -> None:
    """Wait for every thread that is not a daemon, as the interpreter does before ``atexit`` handlers run."""
    threading = sys.modules.get("threading")
    if threading is None:
        return
    try:
        threading._shutdown()
    except BaseException as error:  # noqa: BLE001 - an interrupted wait is reported and the exit goes on
        lines = traceback.format_exception(error.with_traceback(without_first_frame(error.__traceback__)))
        sys.stderr.write(f"Exception ignored in: {threading!r}\n" + "".join(lines))


def run_exit_handlers() -> None:
    """Run and forget the ``atexit`` handlers, last registered first; what they raise is only printed."""
    atexit._run_exitfuncs()


def die_of_interrupt(exception: BaseException) -> None:
    """Leave so that the shell sees a process killed by SIGINT, as python does after ``KeyboardInterrupt``.

    The traceback stands on stderr already, so the hook that would print it once more is silenced.
    """
    sys.excepthook = lambda *_: None
    raise exception.with_traceback(None)
