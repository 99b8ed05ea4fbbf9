"""Finds what ``losscope run`` was asked to run, and prepares the interpreter as python itself would."""

import importlib.util
import marshal
import os
import pkgutil
import sys
import warnings
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Literal

from losscope.core.errors import BadUsage

Kind = Literal["script", "folder", "module", "launcher"]

_NO_CODE = (
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    OverflowError,
    MemoryError,
    RecursionError,
    ImportError,
)


@dataclass(frozen=True, slots=True)
class Target:
    """What to run. ``name`` is the script's path, the module's name or the launcher's command.

    A ``folder`` is a directory or a zip archive that holds ``__main__.py``.
    """

    kind: Kind
    name: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"-m {self.name}" if self.kind == "module" else self.name

    @property
    def command_line(self) -> list[str]:
        """The words after ``python`` that would run the same target."""
        return [*(["-m"] if self.kind == "module" else []), self.name, *self.arguments]


def script_target(name: str, arguments: tuple[str, ...]) -> Target:
    """A script, directory or archive, checked to exist.

    Raises:
        BadUsage: there is no such file, it cannot be read, or a directory holds no ``__main__``.
    """
    path = absolute(name)
    try:
        if not Path(path).is_dir():
            with Path(path).open("rb"):
                pass
    except OSError as error:
        raise BadUsage(f"can't open file {path!r}: {error.strerror}") from None
    importer = pkgutil.get_importer(path)
    if importer is None:
        return Target("script", name, arguments)
    if importer.find_spec("__main__") is None:  # pyright: ignore[reportCallIssue]
        raise BadUsage(f"can't find '__main__' module in {path!r}")
    return Target("folder", name, arguments)


def absolute(name: str) -> str:
    """``name`` as python writes it into ``__file__``: joined to the working directory, not normalised."""
    if name == ".":
        return str(Path.cwd())
    return os.path.join(os.getcwd(), name)  # noqa: PTH109, PTH118 - pathlib would drop "./"


def prepare_interpreter(target: Target) -> ModuleType:
    """Give the process a fresh ``__main__``, ``sys.argv``, ``sys.orig_argv`` and ``sys.path[0]``.

    Returns the new ``__main__``. The old one stays alive in the frames that run it.
    """
    flags = interpreter_flags()
    sys.orig_argv = [*sys.orig_argv[:1], *flags, *target.command_line]
    sys.argv = ["-m" if target.kind == "module" else target.name, *target.arguments]
    own_entry = not sys.flags.safe_path
    if own_entry and sys.path:
        del sys.path[0]
    if target.kind == "folder":
        sys.path.insert(0, absolute(target.name))
    elif own_entry:
        script_folder = os.path.dirname(os.path.realpath(target.name))  # noqa: PTH120
        sys.path.insert(0, os.getcwd() if target.kind == "module" else script_folder)  # noqa: PTH109
    main = fresh_main()
    sys.modules["__main__"] = main
    return main


def fresh_main() -> ModuleType:
    """An empty ``__main__`` with the names that python puts into it, in the same order."""
    main = ModuleType("__main__")
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    vars(main)["__builtins__"] = sys.modules["builtins"]
    return main


def interpreter_flags() -> list[str]:
    """The flags that this python was started with, such as ``["-X", "dev"]``, read from its command line."""
    before_arguments = len(sys.orig_argv) - (len(sys.argv) - 1)
    words = sys.orig_argv[1:before_arguments]
    if words[-2:-1] == ["-m"]:
        return words[:-2]
    return words[:-1]


def is_compiled(path: str) -> bool:
    """Whether python takes the file for compiled code: by its suffix, or by its first two bytes."""
    if path.endswith(".pyc"):
        return True
    with Path(path).open("rb") as file:
        return file.read(2) == importlib.util.MAGIC_NUMBER[:2]


def load_code(path: str) -> CodeType | None:
    """The code of a script or ``.pyc`` file; ``None`` where python itself could not load it.

    The caller then lets python run the file, so that the message about the fault is python's own.
    """
    content = Path(path).read_bytes()
    magic = importlib.util.MAGIC_NUMBER
    try:
        if path.endswith(".pyc") or content[:2] == magic[:2]:
            code = marshal.loads(content[16:]) if content[:4] == magic else None
            return code if isinstance(code, CodeType) else None
        with warnings.catch_warnings():
            # Once without a sound: where python must be asked to run the file, it gives the warnings.
            warnings.simplefilter("ignore")
            compile(content, path, "exec", dont_inherit=True)
        return compile(content, path, "exec", dont_inherit=True)
    except _NO_CODE:
        return None


def describe_script(main: ModuleType, path: str, compiled: bool) -> None:
    """Set the names that python gives a script's ``__main__`` and not a module's."""
    loader = SourcelessFileLoader if compiled else SourceFileLoader
    main.__loader__ = loader("__main__", path)
    main.__file__ = path
    vars(main)["__cached__"] = None
