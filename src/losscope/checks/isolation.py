"""Runs checks in a child process that may hang, die or ask for all the memory there is.

The child is forked, so that closures and modules need not be pickled. It sends evidence through a pipe, one check
after the other; what the loss prints goes nowhere. A check beyond its time limit costs the child: it is killed, the
check counts as not finished, and a new child goes on with the rest. ``RLIMIT_AS`` limits memory where that exists.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch

from losscope.checks.check import Check
from losscope.checks.engine import execute, quiet_torch
from losscope.checks.subject import Subject
from losscope.core.claims import Evidence
from losscope.core.text import Text

_MEMORY = 4 << 30  # bytes beyond what the process has when the checks begin

_SLOW = Text(
    en="not finished within {seconds:g} s; the loss was stopped",
    zh="未能在 {seconds:g} 秒内完成；已停止该损失",
)
_DIED = Text(en="the loss ended the process ({how})", zh="该损失终止了进程（{how}）")
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


def in_child(work: Callable[[], Any], seconds: float) -> Any:
    """The result of ``work`` in a child (an exception is raised here); ``TimeoutError`` where it takes too long."""
    receiver, process = _start(lambda send: send.send(_outcome(work)), _MEMORY)
    try:
        if not receiver.poll(seconds):
            raise TimeoutError
        try:
            result = receiver.recv()
        except EOFError:
            process.join()
            raise ChildProcessError(_how(process.exitcode)) from None
    finally:
        _stop(process, receiver)
    if isinstance(result, BaseException):
        raise result
    return result


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except BaseException as error:  # noqa: BLE001  it is raised again in the parent
        return error


def _one_child(
    subject: Subject, checks: Sequence[Check], per_check: float, deadline: float, memory: int
) -> Iterator[tuple[Check, list[Evidence]]]:
    def work(send: Connection) -> None:
        for check in checks:
            send.send(_outcome(partial(execute, check, subject)))

    receiver, process = _start(work, memory)
    try:
        for check in checks:
            limit = min(per_check, max(deadline - time.monotonic(), 0.1))
            if not receiver.poll(limit):
                yield check, [_unfinished(check, _SLOW(seconds=round(limit, 1)))]
                return
            try:
                found = receiver.recv()
            except EOFError:
                process.join()
                yield check, [_unfinished(check, _DIED(how=_how(process.exitcode)))]
                return
            if isinstance(found, BaseException):  # an interrupt ends the audit
                raise found
            yield check, found
    finally:
        _stop(process, receiver)


def _start(work: Callable[[Connection], None], memory: int) -> tuple[Connection, Any]:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def main() -> None:
        receiver.close()
        _mute()
        _limit_memory(memory)
        quiet_torch()
        work(sender)
        sender.close()
        os._exit(0)  # no atexit handlers of the parent's

    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    process = context.Process(target=main, daemon=True)
    process.start()
    sender.close()
    return receiver, process


def _stop(process: Any, receiver: Connection) -> None:
    if process.is_alive():
        process.join(0.05)
    if process.is_alive():
        process.kill()
    process.join()
    receiver.close()


def _mute() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    sys.stdout = sys.stderr = os.fdopen(null, "w")  # where somebody has put another object there


def _limit_memory(extra: int) -> None:
    try:
        import resource  # lazy: not on Windows

        with open("/proc/self/statm") as file:  # noqa: PTH123  a kernel file, read once
            pages = int(file.read().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + extra
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ImportError, OSError, ValueError):
        return  # no such limit on this system


def _how(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _unfinished(check: Check, text: Any) -> Evidence:
    return Evidence(check=check.name, outcome="not-finished", title=check.title(), text=text)
