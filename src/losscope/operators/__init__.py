"""Matrix-free matrices over the parameters (and samples) of an objective, applied to blocks of vectors.

``losscope.operators.Hessian(objective) @ vectors``; every operator is an attribute of this room.
"""

from importlib import import_module

from losscope.core.registry import exported


def __getattr__(name: str) -> object:
    if not name.startswith("_") and (module := exported(__name__).get(name)) is not None:
        return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(exported(__name__))
