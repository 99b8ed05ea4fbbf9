"""Ways in which a watched process multiplies, replaces itself or ends without an ending.

* A forked child inherits our hooks; the session is told so that it goes quiet there. Where
  ``multiprocessing`` forked it to run something else than a data loader, it then begins a watch of its own.
* ``os._exit`` and ``os.exec*`` end the process without ``atexit``; the session is finished first.
* A spawned child (``multiprocessing`` under ``spawn`` or ``forkserver``) starts a new interpreter. The data
  that ``multiprocessing`` sends it to prepare itself carry one object more, which, when it is unpickled
  there, makes the child record itself as soon as it trains. Neither the environment nor the command line
  changes, so that programs the script starts in other ways are not reached.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from losscope.watching.import_hook import WhenImported, when_imported
from losscope.watching.options import RunOptions

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_EXIT_CALLS = ("_exit", "execv", "execve")


class ProcessGuard:
    """Calls ``on_end(exit_code)`` before this very process is ended or replaced, never in a forked child.

    ``on_end`` returns the exit code to end with. ``exit_code`` is ``None`` where the process is replaced.
    """

    def __init__(
        self,
        on_end: Callable[[int | None], int],
        on_fork: Callable[[], None],
        carry: RunOptions | None = None,
    ) -> None:
        self._on_end, self._on_fork = on_end, on_fork
        self._carry = carry
        self._process = os.getpid()
        self._ending = False
        self._originals: dict[str, Callable[..., Any]] = {}
        self._finders: list[WhenImported | None] = []

    @property
    def in_fork(self) -> bool:
        """Whether this is a child that the watched process forked."""
        return os.getpid() != self._process

    def install(self) -> None:
        """Replace ``os._exit``, ``os.execv`` and ``os.execve``; the other ``os.exec*`` call the latter two."""
        self._originals = {name: getattr(os, name) for name in _EXIT_CALLS if hasattr(os, name)}
        for name, original in self._originals.items():
            replacement = self._exit_call(original) if name == "_exit" else self._exec_call(original)
            replacement.__name__, replacement.__qualname__ = name, name
            replacement.__doc__ = original.__doc__
            setattr(os, name, replacement)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)
        if self._carry is not None:
            carry = self._carry
            self._finders = [
                when_imported("multiprocessing.process", lambda _: begin_with_process(carry)),
                when_imported("multiprocessing.spawn", lambda module: add_stowaway(module, carry)),
            ]

    def remove(self) -> None:
        """Give ``os`` its own functions back. The fork handler stays, without effect."""
        for name, original in self._originals.items():
            setattr(os, name, original)
        self._originals = {}
        for finder in self._finders:
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)

    def _after_fork(self) -> None:
        if self._originals:
            self._on_fork()

    def _exit_call(self, original: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        def _exit(status: int) -> NoReturn:
            original(self._end(status) if isinstance(status, int) else status)

        return _exit

    def _exec_call(self, original: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        def execute(path: Any, *arguments: Any) -> NoReturn:
            if replaces_process(path):
                self._end(None)
            original(path, *arguments)

        return execute

    def _end(self, status: int | None) -> int:
        if self.in_fork or self._ending:
            return status or 0
        self._ending = True
        return self._on_end(status)


def replaces_process(path: Any) -> bool:
    """Whether ``exec`` of this path can succeed: after a failed one the script goes on and stays watched."""
    try:
        return os.access(path, os.X_OK) and not Path(os.fsdecode(path)).is_dir()
    except (TypeError, ValueError):
        return False


class Stowaway:
    """Rides in the preparation data of a spawned child; being unpickled there prepares the lazy watch."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options

    def __reduce__(self) -> tuple[Callable[[RunOptions], None], tuple[RunOptions]]:
        return begin_with_process, (self._options,)


def add_stowaway(spawn: ModuleType, options: RunOptions) -> None:
    """Make ``multiprocessing.spawn.get_preparation_data`` send a :class:`Stowaway` along."""
    original = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        data = original(name)
        data["losscope"] = Stowaway(options)
        return data

    vars(spawn)["get_preparation_data"] = get_preparation_data


def begin_with_process(options: RunOptions) -> None:
    """Watch a child of ``multiprocessing`` from the moment at which it is to run its target.

    Called in the parent for children that are forked, and in a spawned child for itself. Workers of a data
    loader are left alone.
    """
    from multiprocessing.process import BaseProcess  # lazy: here the user has imported it

    bootstrap = BaseProcess._bootstrap  # pyright: ignore[reportAttributeAccessIssue]

    def _bootstrap(self: "BaseProcess", *arguments: Any, **keywords: Any) -> int:
        BaseProcess._bootstrap = bootstrap  # pyright: ignore[reportAttributeAccessIssue]
        if not loads_data(self):
            from losscope.watching.startup import begin  # lazy: it imports this module

            begin(options)
        return bootstrap(self, *arguments, **keywords)

    BaseProcess._bootstrap = _bootstrap  # pyright: ignore[reportAttributeAccessIssue]


def loads_data(process: "BaseProcess") -> bool:
    """Whether a child process is a worker of torch's DataLoader, which is never a trainer."""
    target = getattr(process, "_target", None)
    return str(getattr(target, "__module__", "")).startswith("torch.utils.data")
