"""From ``package.module:name`` to the object, with one clear line for all that can go wrong."""

import importlib
import os
import sys
from difflib import get_close_matches
from typing import Any

from losscope.core.errors import BadUsage


def imported(text: str, remedy: str) -> Any:
    """The object that ``text`` names. ``remedy`` tells how to name one. The working folder is importable, as with
    ``python -m``. Raises ``BadUsage``."""
    module_name, separator, path = text.partition(":")
    if not separator or not module_name or not path:
        raise BadUsage("this names nothing", seen=text, remedy=remedy)
    return attribute(module_name, path, text, remedy)


def attribute(module_name: str, path: str, text: str, remedy: str) -> Any:
    """What stands in a module under a dotted path; ``text`` is what the user wrote."""
    found = module(module_name, remedy)
    for part in path.split("."):
        if not hasattr(found, part):
            near = get_close_matches(part, dir(found), n=3)
            hint = f"did you mean {', '.join(near)}?" if near else remedy
            raise BadUsage(f"{module_name} has no {part}", seen=text, remedy=hint)
        found = getattr(found, part)
    return found


def module(name: str, remedy: str) -> Any:
    """The module of this name."""
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  as python -m does
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise BadUsage(f"there is no module {error.name}", seen=name, remedy=remedy) from error
        raise BadUsage(f"{name} cannot be imported", seen=f"no module {error.name}") from error
    except (Exception, SystemExit) as error:
        raise BadUsage(f"{name} cannot be imported", seen=f"{type(error).__name__}: {error}") from error
