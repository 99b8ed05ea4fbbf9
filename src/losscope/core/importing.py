"""From ``package.module:name`` to the object, with one clear line for all that can go wrong."""

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from losscope.core.errors import BadUsage
from losscope.core.places import place

_SHOWN = 8


def imported(text: str, remedy: str) -> Any:
    """The object that ``text`` names. ``remedy`` tells how to name one. The working folder is importable, as with
    ``python -m``. Raises ``BadUsage``."""
    module_name, path = split(text, remedy)
    return attribute(module_name, path, text, remedy)


def split(text: str, remedy: str, known: Callable[[str], str] = lambda text: "") -> tuple[str, str]:
    """Module and path of ``package.module:path`` or of ``folder/file.py:path``.

    ``known(text)`` is what else may have been meant by a text that names no module. Raises ``BadUsage``.
    """
    name, separator, path = text.partition(":")
    if not name:
        raise BadUsage("this names nothing", seen=text, remedy=remedy)
    if path:
        return _of_file(name, remedy), path
    if not separator and not _is_file(name) and (missing := _missing(name)):
        near = _did_you_mean(missing, _modules_beside(missing))
        hint = _with_colon(name, missing) or known(text) or near or remedy
        raise BadUsage("this names nothing that can be imported", seen=text, remedy=hint)
    name = _of_file(name, remedy)
    raise BadUsage(
        f"{name} is a module, and what is meant in it was not named", remedy=_holds(module(name, remedy))
    )


def attribute(module_name: str, path: str, text: str, remedy: str) -> Any:
    """What stands in a module under a dotted path; ``text`` is what the user wrote."""
    found = module(module_name, remedy)
    for part in path.split("."):
        if not hasattr(found, part):
            hint = _did_you_mean(part, dir(found)) or (
                _holds(found) if isinstance(found, ModuleType) else remedy
            )
            raise BadUsage(f"{module_name} has no {part}", seen=text, remedy=hint)
        found = getattr(found, part)
    return found


def module(name: str, remedy: str) -> Any:
    """The module of this name."""
    _here()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            hint = _did_you_mean(error.name, _modules_beside(error.name)) or remedy
            raise BadUsage(f"there is no module {error.name}", seen=name, remedy=hint) from error
        seen = f"no module {error.name}{place(error)}"
        raise BadUsage(f"{name} cannot be imported", seen=seen) from error
    except (Exception, SystemExit) as error:
        seen = f"{type(error).__name__}: {error}{place(error)}"
        raise BadUsage(f"{name} cannot be imported", seen=seen) from error


def _here() -> None:
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  as python -m does
        sys.path.insert(0, here)


def _is_file(name: str) -> bool:
    return name.endswith(".py") or "/" in name or os.sep in name


def _of_file(name: str, remedy: str) -> str:
    """The module of a file in or below the working folder: ``pkg/losses.py`` is ``pkg.losses``."""
    if not _is_file(name):
        return name
    file = Path(name)
    here, inside = Path.cwd(), file.resolve()
    if not file.is_file():
        files = [str(path) for path in sorted(file.parent.glob("*.py"))] if file.parent.is_dir() else []
        hint = _did_you_mean(name, files) or f"files are looked for from {here}; or {remedy}"
        raise BadUsage("there is no such file", seen=name, remedy=hint)
    parts = inside.relative_to(here).with_suffix("").parts if inside.is_relative_to(here) else ()
    if not parts or not all(part.isidentifier() for part in parts):
        raise BadUsage(
            "a file is no module of the working folder",
            seen=name,
            remedy=f"go to {inside.parent} and give {inside.name}:NAME",
        )
    return ".".join(parts)


def _missing(name: str) -> str:
    """The module on the way to this one that does not exist; empty where it does, or fails for another reason."""
    _here()
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        return error.name if error.name and f"{name}.".startswith(f"{error.name}.") else ""
    except (Exception, SystemExit):  # noqa: BLE001  it is imported again, and told then
        return ""
    return ""


def _with_colon(name: str, missing: str) -> str:
    """What was meant by ``package.module.Loss``, where that is a name in a module."""
    parent, _, last = name.rpartition(".")
    if not parent or missing != name:
        return ""
    names = dir(importlib.import_module(parent))
    return f"did you mean {parent}:{last}?" if last in names else _did_you_mean(last, names, f"{parent}:")


def _did_you_mean(wrong: str, names: Iterable[str], before: str = "") -> str:
    near = get_close_matches(wrong, set(names), n=3)
    return f"did you mean {', '.join(before + name for name in near)}?" if near else ""


def _modules_beside(name: str) -> list[str]:
    """Modules with the parent of this one; at the top those of the working folder, and those already imported."""
    parent = name.rpartition(".")[0]
    if not parent:
        beside = [info.name for info in pkgutil.iter_modules([str(Path.cwd())])]
        return beside + [n for n in sys.modules if "." not in n]
    path = getattr(sys.modules.get(parent), "__path__", [])
    return [info.name for info in pkgutil.iter_modules(path, f"{parent}.")]


def _holds(holder: ModuleType) -> str:
    """What can be named in a module: the functions, classes and callable objects of its own, else its modules."""
    own = {
        name: value
        for name, value in vars(holder).items()
        if not name.startswith("_") and callable(value) and not isinstance(value, ModuleType)
    }
    names = [n for n, v in own.items() if _made_in(holder, v)] or [*own]
    separator = ":"
    if not names:
        names, separator = [info.name for info in pkgutil.iter_modules(getattr(holder, "__path__", []))], "."
    if not names:
        return f"{holder.__name__} holds nothing that can be called"
    shown = ", ".join(f"{holder.__name__}{separator}{name}" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"it holds {shown}{more}"


def _made_in(holder: ModuleType, value: Any) -> bool:
    """Whether a value comes from a module itself, or from a module of this package."""
    made = getattr(value, "__module__", None) or ""
    return made == holder.__name__ or (hasattr(holder, "__path__") and made.startswith(f"{holder.__name__}."))
