"""Runs a launcher such as torchrun, accelerate or a shell script, and watches every python below it that trains.

The watch gets in through the environment: ``PYTHONPATH`` is led by a folder whose ``sitecustomize`` begins a
lazy watch, and ``LOSSCOPE_RUN`` names the run folder that all processes write their segments to. This process
only waits, passes signals on, and gives the verdict when the launcher has ended. A python that ignores the
environment (``-I``, ``-E``), that has no losscope, or whose ``PYTHONPATH`` the launcher replaces cannot be
reached.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from losscope.core.errors import BadUsage
from losscope.core.verdict import Verdict
from losscope.recording.run_folder import cannot_record, holds_run, make_private, new_run_folder
from losscope.watching.options import RunOptions
from losscope.watching.run_folder import RUNS
from losscope.watching.script_runner import gated, shield
from losscope.watching.startup import RUN_VARIABLE
from losscope.watching.voice import say

STARTUP_PATH = Path(__file__).parent / "startup_path"

_FORWARDED = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)


def find_launcher(name: str) -> str:
    """The path of a command.

    Raises:
        BadUsage: no such command can be executed.
    """
    path = shutil.which(name)
    if path is None:
        remedy = "leave out the -- to run a python script" if Path(name).is_file() else ""
        raise BadUsage(f"cannot find the command {name!r}", remedy=remedy)
    return path


def run_launcher(path: str, words: tuple[str, ...], options: RunOptions) -> int:
    """Run ``words`` (the command and its arguments) and return its exit code, 128+N after signal N.

    The verdict is given after the launcher has ended, from what its processes recorded.
    """
    try:
        folder = open_folder(words, options.out).absolute()
    except OSError as error:
        say(cannot_record(error, options.out))
        return wait_for(path, words, os.environ)
    options = replace(options, out=folder)
    exit_code = wait_for(path, words, launcher_environment(os.environ, options))

    def judge() -> Verdict | None:
        from losscope.watching.session import judge_folder  # lazy: a fault in it costs the verdict only

        return judge_folder(folder, options)

    if not holds_run(folder):
        say(f"no python process that trained was reached below {words[0]!r}")
        with suppress(OSError):  # not empty: then it is not ours alone, and stays
            folder.rmdir()
        return exit_code
    return gated(exit_code, shield(judge), options)


def open_folder(words: tuple[str, ...], out: Path | None) -> Path:
    """Make the run folder: ``out``, or a new one inside it where it holds a run already. Raises ``OSError``.

    It is named by the first python script among the words, else by the command.
    """
    name = next((word for word in words if word.endswith(".py")), words[0])
    if out is None:
        return new_run_folder(RUNS, name)
    if holds_run(out):
        folder = new_run_folder(out, name)
        say(f"{out} holds a run already; recording in {folder}")
        return folder
    make_private(out)
    return out


def launcher_environment(environment: Mapping[str, str], options: RunOptions) -> dict[str, str]:
    """The environment that carries the watch into every python below the launcher."""
    paths = [str(STARTUP_PATH)]
    if environment.get("PYTHONPATH"):
        paths.append(environment["PYTHONPATH"])
    return {
        **environment,
        **options.to_environment(),
        "PYTHONPATH": os.pathsep.join(paths),
        RUN_VARIABLE: str(options.out),
    }


def wait_for(path: str, words: tuple[str, ...], environment: Mapping[str, str]) -> int:
    """Start the command, pass on the signals that are sent to this process alone, return the exit code.

    A signal from the terminal reaches the whole foreground group, so the launcher has it already; only one
    that a process sent to us (``kill``) is passed on. Where the two cannot be told apart (no
    ``sigwaitinfo``), SIGINT and SIGQUIT count as the terminal's.
    """
    awaited = {*_FORWARDED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    try:
        # No other thread runs here, so the hook between fork and exec is safe.
        child = subprocess.Popen(
            words,
            executable=path,
            env=dict(environment),
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before),  # noqa: PLW1509
        )
        while child.poll() is None:
            number, sent_to_us = _next_signal(awaited)
            if sent_to_us and number != signal.SIGCHLD:
                child.send_signal(number)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _next_signal(awaited: set[signal.Signals]) -> tuple[int, bool]:
    """Wait for a signal; returns its number and whether a process, not the terminal, sent it."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(awaited)
        return info.si_signo, info.si_code <= 0
    number = signal.sigwait(awaited)
    return number, number not in (signal.SIGINT, signal.SIGQUIT)
