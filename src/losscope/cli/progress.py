"""What commands that take a while share: a bar on stderr, and a file for the result."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from losscope.core.errors import BadUsage


def written(path: Path, text: str) -> None:
    """Write a result, or say in one line why that cannot be."""
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise BadUsage("the JSON file cannot be written", seen=f"{path}: {error.strerror}") from error


def steps_shown(target: str) -> AbstractContextManager[Callable[[int, int, str], None] | None]:
    """A bar on stderr where somebody looks at it."""
    if not sys.stderr.isatty():
        return nullcontext(None)
    return _Bar(target)


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
        self._task = self._bar.add_task("importing", total=None, target=target)

    def __enter__(self) -> Callable[[int, int, str], None]:
        self._bar.start()
        return self._show

    def __exit__(self, *details: Any) -> None:
        self._bar.stop()

    def _show(self, done: int, total: int, name: str) -> None:
        self._bar.update(self._task, completed=done, total=total, description=name)
