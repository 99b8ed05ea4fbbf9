"""Runs a script as ``python script.py`` would, with a session watching.

The order of things is the promise: the script is found and compiled first, so that bad input costs nothing;
then the session starts; then the user's code runs in a fresh ``__main__``; then python's own steps at the end
of a process are taken (see :mod:`losscope.watching.script_ending`); then the verdict is given; then the
process exits with the script's own code. What losscope cannot reproduce is the depth of the call stack: a few
frames of its own lie below the user's first one, visible to ``inspect.stack()`` but in no traceback.
"""

import os
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from losscope.core.baseline import read_baseline
from losscope.core.errors import BadUsage
from losscope.core.finding import Finding
from losscope.core.text import Language, Text
from losscope.core.verdict import Verdict
from losscope.watching.child_processes import ProcessGuard
from losscope.watching.options import RunOptions
from losscope.watching.script_ending import (
    Ending,
    above_hooks,
    die_of_interrupt,
    ending_of,
    hide_frames,
    print_ending,
    run_exit_handlers,
    wait_for_threads,
)
from losscope.watching.script_target import (
    Target,
    absolute,
    describe_script,
    interpreter_flags,
    is_compiled,
    load_code,
    prepare_interpreter,
)
from losscope.watching.startup import below_launcher, tell_unwatched
from losscope.watching.voice import say

if TYPE_CHECKING:
    from losscope.watching.session import Session

GATE_FAILED = 20
_KNOWN = Text(
    en="new findings: {new}; {known} more are known from {file}",
    zh="新发现：{new}；另有 {known} 项已记录在 {file} 中",
)
_GONE = Text(en="; no longer found: {codes}", zh="；不再出现：{codes}")
PACKAGE = str(Path(__file__).parents[1]) + os.sep
OWN_FILES = frozenset({__file__, str(Path(__file__).with_name("child_processes.py"))})
"""Files of ours whose functions call the user's code or are called by it in place of python's own."""


def run_target(target: Target, options: RunOptions) -> int:
    """Run a script, module, directory or archive to its end and return the exit code of the process.

    Raises:
        BadUsage: the module does not exist, so that nothing of the user's ran.
        KeyboardInterrupt: the script was interrupted; raised with python's own traceback already printed.
    """
    code = None
    if target.kind == "script":
        code = load_code(absolute(target.name))
        if code is None:
            hand_over_to_python(target)
    main = prepare_interpreter(target)
    if target.kind == "module":
        check_module(target.name)
    watched = WatchedProcess(below_launcher(options), str(target))
    watched.start()
    exception = execute(target, main, code)
    if target.kind == "module" and exception is not None and is_missing_module(exception):
        watched.abandon()
        raise BadUsage(str(exception.__context__))
    return watched.end(ending_of(exception))


def execute(target: Target, main: ModuleType, code: CodeType | None) -> BaseException | None:
    """Run the user's code; returns what it raised, with a traceback that begins in the user's code."""
    try:
        if code is not None:
            path = absolute(target.name)
            describe_script(main, path, is_compiled(path))
            exec(code, vars(main))
        else:
            # The interpreter's own routine for ``-m`` and for directories: its frames belong into tracebacks.
            name = target.name if target.kind == "module" else "__main__"
            runpy._run_module_as_main(name, target.kind == "module")  # pyright: ignore[reportAttributeAccessIssue]
    except BaseException as exception:  # noqa: BLE001 - everything that a script may raise is python's to judge
        hide_frames(exception, OWN_FILES)
        if isinstance(exception, KeyboardInterrupt):
            exception.__traceback__ = above_hooks(exception.__traceback__, PACKAGE)
        return exception
    return None


def check_module(name: str) -> None:
    """Refuse a module that cannot be found, as far as that shows without running a package's ``__init__``.

    Raises:
        BadUsage: no such top-level module.
    """
    top = name.partition(".")[0]
    try:
        found = find_spec(top) is not None
    except (ImportError, ValueError):
        found = top in sys.modules
    if not found:
        raise BadUsage(f"No module named {name}")


def is_missing_module(exception: BaseException) -> bool:
    """Whether ``-m`` found nothing to run, which runpy tells by ``SystemExit`` with a text."""
    error = runpy._Error  # pyright: ignore[reportAttributeAccessIssue]
    return isinstance(exception, SystemExit) and isinstance(exception.__context__, error)


def hand_over_to_python(target: Target) -> None:
    """Become the python that runs the script unwatched: it cannot be compiled, and python says best why."""
    command = [sys.executable, *interpreter_flags(), *target.command_line]
    os.execv(sys.executable, command)


class WatchedProcess:
    """The session of this process and its end: exactly one verdict, however the process comes to its end."""

    def __init__(self, options: RunOptions, target: str) -> None:
        self._options, self._target = options, target
        self._session: Session | None = None
        self._guard: ProcessGuard | None = None
        self._ending: Ending | None = None

    def start(self) -> None:
        """Start watching. A fault of ours is told in one line, and the script runs unwatched."""
        try:
            from losscope.watching.session import Session  # lazy: a fault in it costs the watch only

            self._session = Session(self._options, self._target)
            self._session.start()
            folder = self._session.folder
            carry = replace(self._options, out=folder.absolute(), launched=True) if folder.name else None
            self._guard = ProcessGuard(self._before_end, self._after_fork, carry)
            self._guard.install()
        except Exception as error:  # noqa: BLE001 - promise 1: a fault inside losscope never stops the script
            tell_unwatched(error)
            self._session = None

    def abandon(self) -> None:
        """Stop without a verdict: nothing ran."""
        if self._guard:
            self._guard.remove()

    def end(self, ending: Ending) -> int:
        """Take python's steps at the end of a process, give the verdict, return the exit code."""
        in_fork = self._guard is not None and self._guard.in_fork
        self._ending = ending
        exit_code = print_ending(ending)
        if not in_fork:
            wait_for_threads()
            run_exit_handlers()
            flush_standard_output()
            exit_code = self._verdict(exit_code)
        if ending.exception is not None and ending.status == "interrupted" and exit_code == ending.exit_code:
            die_of_interrupt(ending.exception)
        return exit_code

    def _before_end(self, status: int | None) -> int:
        """Called before ``os._exit`` and ``os.exec*``: there will be no later occasion for a verdict."""
        return self._verdict(status or 0)

    def _verdict(self, exit_code: int) -> int:
        """End the session; threads and exit handlers may have trained until now."""
        if self._session is None:
            return exit_code
        session, self._session = self._session, None
        ending = self._ending or Ending("killed-by-exit", exit_code)

        def finish() -> Verdict | None:
            session.script_ended(ending.status, exit_code, ending.exception)
            return session.finish()

        verdict = shield(finish)
        if self._guard:
            self._guard.remove()
        return gated(exit_code, verdict, self._options)

    def _after_fork(self) -> None:
        if self._session:
            self._session.after_fork_in_child()


def gated(exit_code: int, verdict: Verdict | None, options: RunOptions) -> int:
    """The exit code after ``--fail-on``: the script's own code wins; 20 where a bad enough finding exists.

    Findings of ``--baseline`` do not count, and that is said.
    """
    if verdict is None:
        return exit_code
    found = [f for f in verdict.findings if f.severity != "info"]
    if options.baseline is not None:
        found = new_findings(found, options.baseline, options.lang)
    if exit_code or options.fail_on == "never":
        return exit_code
    failing = ("error",) if options.fail_on == "error" else ("error", "warning")
    return GATE_FAILED if any(finding.severity in failing for finding in found) else 0


def new_findings(found: list[Finding], file: Path, language: Language) -> list[Finding]:
    """Those that are not in the baseline; how many are, and which are there no longer, is told in one line."""
    try:
        baseline = read_baseline(file)
    except BadUsage as error:  # it could be read when the script began
        say(str(error))
        return found
    new, gone = baseline.new(found), baseline.gone(found)
    names = ", ".join(finding.code for finding in new) or "–"
    text = _KNOWN(new=names, known=len(found) - len(new), file=describe(file)).render(language)
    if gone:
        text += _GONE(codes=", ".join(dict.fromkeys(code for code, _ in gone))).render(language)
    if not os.environ.get("LOSSCOPE_QUIET"):
        say(text)
    return new


def describe(file: Path) -> str:
    """A file, relative to here where it lies below."""
    try:
        return str(file.relative_to(Path.cwd()))
    except (ValueError, OSError):  # it lies elsewhere, or the folder is gone
        return str(file)


def shield(call: Callable[[], Verdict | None]) -> Verdict | None:
    """Run a step of ours that must not harm the exit of the user's process."""
    try:
        return call()
    except KeyboardInterrupt:
        say("interrupted while judging; the recording is complete")
    except Exception as error:  # noqa: BLE001 - the script is over; its exit code must survive our fault
        say(f"fault while judging: {error!r}")
    return None


def flush_standard_output() -> None:
    """Put what the script printed before the verdict. A broken pipe is left for python to report at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        return
