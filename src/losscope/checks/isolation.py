"""Runs checks in a child process that may hang, die or ask for all the memory there is.

The child is forked, so that closures and modules need not be pickled. It sends evidence through a pipe, one check
after the other; what the loss prints goes nowhere. A check beyond its time limit costs the child: it is killed, the
check counts as not finished, and a new child goes on with the rest. ``RLIMIT_AS`` limits memory where that exists.
A keeper (:mod:`losscope.checks.descendants`) ends what the loss has started.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, Pipe
from typing import Any

import torch

from losscope.checks.check import Check
from losscope.checks.descendants import keep
from losscope.checks.engine import execute, quiet_torch
from losscope.checks.phrases import in_both
from losscope.checks.subject import Subject
from losscope.core.claims import Evidence
from losscope.core.errors import LosscopeError
from losscope.core.text import Text

_MEMORY = 4 << 30  # bytes beyond what the process has when the checks begin
_PATIENCE = 10.0  # seconds for the end of a process
_LOOK = 0.002
_BEAT = 1.0  # seconds

_SLOW = Text(
    en="not finished within {seconds:g} s; the loss was stopped",
    zh="未能在 {seconds:g} 秒内完成；已停止该损失",
)
_DIED = Text(en="the loss ended the process ({how})", zh="该损失终止了进程（{how}）")
_INTERRUPT = Text(en="the loss raised KeyboardInterrupt", zh="损失函数抛出 KeyboardInterrupt")
_NO_TIME = Text(en="not begun: the time limit of the audit was reached", zh="未开始：已达到审计的时间上限")


def can_isolate() -> bool:
    """Whether a child can be forked: not on Windows, and not once an accelerator is in use."""
    if not hasattr(os, "fork"):
        return False
    return not (torch.cuda.is_available() and torch.cuda.is_initialized())


def run_isolated(
    subject: Subject, checks: Sequence[Check], *, per_check: float, total: float, memory: int = _MEMORY
) -> Iterator[tuple[Check, list[Evidence]]]:
    """Evidence check by check, in the order given."""
    deadline = time.monotonic() + total
    remaining = list(checks)
    while remaining:
        if time.monotonic() >= deadline:
            for check in remaining:
                yield check, [_unfinished(check, _NO_TIME())]
            return
        for check, evidence in _one_child(subject, tuple(remaining), per_check, deadline, memory):
            remaining.remove(check)
            yield check, evidence


def in_child(
    work: Callable[[Callable[[Any], None]], Any],
    seconds: float,
    *,
    memory: int | None = _MEMORY,
    told: Callable[[Any], None] = lambda _: None,
    waiting: Callable[[], None] = lambda: None,
) -> Any:
    """The result of ``work`` in a child (an exception is raised here); ``TimeoutError`` where it takes too long.

    ``work`` is given a function that passes news to ``told`` here. ``ChildProcessError`` tells how a child ended
    that gave no result. ``waiting`` is called once a second while there is no news. ``memory``: bytes beyond what
    the process has; ``None`` for no limit.
    """

    def answer(send: Connection) -> None:
        send.send((True, _plain(_outcome(lambda: work(lambda news: send.send((False, news)))))))

    deadline = time.monotonic() + seconds
    with _Child(answer, memory) as child:
        final, result = False, None
        while not final:
            left = max(deadline - time.monotonic(), 0)
            if not child.receiver.poll(min(left, _BEAT)):
                if left <= _BEAT:
                    raise TimeoutError
                waiting()
                continue
            try:
                final, result = child.receiver.recv()
            except EOFError:
                raise ChildProcessError(child.how()) from None
            if not final:
                told(result)
    if isinstance(result, Exception):
        raise result
    if isinstance(result, BaseException):  # an interrupt of the terminal's does not reach the child
        raise ChildProcessError(f"it raised {type(result).__name__}")
    return result


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except BaseException as error:  # noqa: BLE001  it is raised again in the parent
        return error


def _plain(outcome: Any) -> Any:
    """An error of a class that the parent may not know as one that it does, with the traceback as a note."""
    if not isinstance(outcome, Exception) or isinstance(outcome, LosscopeError | MemoryError):
        return outcome
    error = RuntimeError(f"{type(outcome).__name__}: {outcome}")
    error.add_note("".join(traceback.format_exception(outcome)))
    return error


def _one_child(
    subject: Subject, checks: Sequence[Check], per_check: float, deadline: float, memory: int
) -> Iterator[tuple[Check, list[Evidence]]]:
    def work(send: Connection) -> None:
        for check in checks:
            send.send(_outcome(partial(execute, check, subject)))

    with _Child(work, memory) as child:
        for check in checks:
            limit = min(per_check, max(deadline - time.monotonic(), 0.1))
            if not child.receiver.poll(limit):
                yield check, [_unfinished(check, _SLOW(seconds=round(limit, 1)))]
                return
            try:
                found = child.receiver.recv()
            except EOFError:
                yield check, [_unfinished(check, _DIED(how=child.how()))]
                return
            if isinstance(
                found, KeyboardInterrupt
            ):  # the loss's own: the terminal's does not reach the child
                yield check, [_unfinished(check, _INTERRUPT())]
                continue
            if isinstance(found, BaseException):
                raise found
            yield check, found


class _Child:
    """A process that works and sends along ``receiver``; at the end of the block it and what it started are gone."""

    def __init__(self, work: Callable[[Connection], None], memory: int | None) -> None:
        self.receiver, sender = Pipe(duplex=False)
        self._leash, other = Pipe()

        def worker() -> None:
            _mute()
            _limit(memory)
            quiet_torch()
            work(sender)
            sender.close()
            os._exit(0)  # no atexit handlers of the parent's

        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        self._keeper = os.fork()  # not of multiprocessing, whose children may have none themselves
        if self._keeper == 0:
            try:
                self.receiver.close()
                self._leash.close()
                keep(worker, other, sender.close)
            finally:
                os._exit(1)
        sender.close()
        other.close()

    def how(self) -> str:
        """How the process ended."""
        code = None
        with suppress(EOFError, OSError):
            code = self._leash.recv() if self._leash.poll(_PATIENCE) else None
        if code is None:
            return "it was killed, and the process that watches over it"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _ended(self, seconds: float) -> bool:
        """Whether the keeper ends within this time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if os.waitpid(self._keeper, os.WNOHANG)[0]:
                    return True
            except ChildProcessError:  # somebody else has waited for it
                return True
            time.sleep(_LOOK)
        return False

    def __enter__(self) -> "_Child":
        return self

    def __exit__(self, *details: object) -> None:
        with suppress(OSError):
            self._leash.send("end")
        if not self._ended(_PATIENCE):
            os.kill(self._keeper, signal.SIGKILL)
            self._ended(_PATIENCE)
        self._leash.close()
        self.receiver.close()


def _mute() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    sys.stdout = sys.stderr = os.fdopen(null, "w")  # where somebody has put another object there


def _limit(extra: int | None) -> None:
    """Limits memory, and leaves no core file behind where a loss crashes."""
    try:
        import resource  # lazy: not on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if extra is None:
            return
        with open("/proc/self/statm") as file:  # noqa: PTH123  a kernel file, read once
            pages = int(file.read().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + extra
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ImportError, OSError, ValueError):
        return  # no such limit on this system


def _unfinished(check: Check, text: Any) -> Evidence:
    return Evidence(check=check.name, outcome="not-finished", title=check.title(), text=in_both(text))
