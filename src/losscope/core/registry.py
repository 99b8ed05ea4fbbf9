"""Discovery: one file per addition, no central list to edit."""

import pkgutil
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


def exported(package: str) -> dict[str, str]:
    """Public classes and functions below ``package`` that its modules name in ``__all__``, with their modules."""
    found: dict[str, str] = {}
    for name in module_names(package):
        found |= dict.fromkeys(vars(import_module(name)).get("__all__", ()), name)
    return found
