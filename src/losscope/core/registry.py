"""Discovery: one file per addition, no central list to edit."""

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def module_names(package: str) -> list[str]:
    """Full names of all modules below ``package``, without importing them, sorted."""
    root = import_module(package)
    return sorted(info.name for info in pkgutil.walk_packages(root.__path__, package + ".") if not info.ispkg)


@cache
def discover(package: str, attribute: str) -> dict[str, Any]:
    """Every module-level object called ``attribute`` below ``package``, by module name.

    >>> "losscope.losses.classification.cross_entropy" in discover("losscope.losses", "SPEC")
    True
    """
    found: dict[str, Any] = {}
    for name in module_names(package):
        value = vars(import_module(name)).get(attribute)
        if value is not None:
            found[name] = value
    return found


def room(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package whose public names are what its modules list in ``__all__``."""

    def names() -> dict[str, str]:
        return {name: module for module, listed in discover(package, "__all__").items() for name in listed}

    def get(name: str) -> Any:
        if not name.startswith("_") and (module := names().get(name)) is not None:
            return getattr(import_module(module), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get, lambda: sorted(names())
