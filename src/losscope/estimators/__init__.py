"""Estimates of what people ask of an operator, each with its error and its price; one algorithm per file.

``losscope.estimators.eigsh(operator, 5)``; every estimator is an attribute of this room.
"""

from importlib import import_module

from losscope.core.registry import exported


def __getattr__(name: str) -> object:
    if not name.startswith("_") and (module := exported(__name__).get(name)) is not None:
        return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(exported(__name__))
