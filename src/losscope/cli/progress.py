"""What commands that take a while share: names in a list, a bar on stderr, and the result as text or JSON."""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from losscope.core.errors import BadUsage

_FIRST, _EVERY = 10.0, 15.0  # seconds until somebody who reads a log is told something
_BEGINNING = "importing it, and finding out what it takes"


def listed(text: str | None) -> tuple[str, ...]:
    """The names in a list with commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def deliver(data: Any, summary: str, json_file: Path | None) -> None:
    """Print the summary, and write the data to a file; for "-" print the data instead."""
    text = json.dumps(data, ensure_ascii=False, indent=2)
    if str(json_file) == "-":
        click.echo(text)
        return
    click.echo(summary)
    if json_file is not None:
        _write(json_file, text)


def writable(*paths: Path | None) -> None:
    """Say in one line that a result could not be written, before the work that makes it."""
    for path in paths:
        if path is None or str(path) == "-":
            continue
        folder = path.absolute().parent
        if path.is_dir():
            why = "it is a folder"
        elif not folder.is_dir():
            why = "its folder does not exist"
        elif not os.access(path if path.exists() else folder, os.W_OK):
            why = "that is not permitted"
        else:
            continue
        raise BadUsage("the result cannot be written there", seen=f"{path}: {why}")


def _write(path: Path, text: str) -> None:
    """Write a result, or say in one line why that cannot be."""
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise BadUsage("the JSON file cannot be written", seen=f"{path}: {error.strerror}") from error


def steps_shown(target: str) -> AbstractContextManager[Callable[[int, int, str], None] | None]:
    """A bar on stderr where somebody looks at it; elsewhere, in a log, a line there while it takes long."""
    if sys.stderr is None:
        return nullcontext(None)
    return _Bar(target) if sys.stderr.isatty() else _Lines(target)


class _Lines:
    """Says how far the work is, at most every quarter of a minute."""

    def __init__(self, target: str) -> None:
        self._target, self._began, self._next = target, time.monotonic(), _FIRST

    def __enter__(self) -> Callable[[int, int, str], None]:
        return self._show

    def __exit__(self, *details: Any) -> None:
        return

    def _show(self, done: int, total: int, name: str) -> None:
        passed = time.monotonic() - self._began
        if passed >= self._next:
            self._next = passed + _EVERY
            state = f"{done} of {total} done, now {name}" if total else _BEGINNING
            click.echo(f"losscope: {self._target}, after {passed:.0f} s: {state}", err=True)


class _Bar:
    def __init__(self, target: str) -> None:
        from rich import progress  # lazy: the same
        from rich.console import Console  # lazy: 60 ms that only a terminal needs

        self._bar = progress.Progress(
            progress.TextColumn("{task.fields[target]}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.description}"),
            progress.TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(_BEGINNING, total=None, target=target)

    def __enter__(self) -> Callable[[int, int, str], None]:
        self._bar.start()
        return self._show

    def __exit__(self, *details: Any) -> None:
        self._bar.stop()

    def _show(self, done: int, total: int, name: str) -> None:
        if total:
            self._bar.update(self._task, completed=done, total=total, description=name)
