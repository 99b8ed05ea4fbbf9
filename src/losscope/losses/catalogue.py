"""The catalogue: every contract by name, and every function and module that losscope implements itself."""

from functools import cache
from importlib import import_module
from typing import Any

from losscope.core.registry import discover
from losscope.losses.index import called
from losscope.losses.spec import LossSpec


def get(name: str) -> LossSpec:
    """The contract of the loss called ``name``, however its function, its module or the field call it.

    Raises :class:`losscope.core.errors.BadUsage` for an unknown name, and for what is no text.

    >>> get("cross_entropy").range
    (0.0, inf)
    >>> get("nn.BCEWithLogitsLoss").name, get("RNN-T").name, get("focal loss").name
    ('binary_cross_entropy_with_logits', 'transducer', 'focal')
    """
    return specs()[called(name)]


def importable(value: Any) -> str:
    """``package.module:name`` of a function or class by the shortest path that holds it; empty where none does.

    >>> importable(get("cross_entropy").module), importable(get("dice").function)
    ('torch.nn:CrossEntropyLoss', 'losscope.losses:dice_loss')
    """
    module, name = getattr(value, "__module__", None) or "", getattr(value, "__qualname__", "")
    ends = [i for i, c in enumerate(f"{module}.") if c == "." and i]
    for holder in (module[:end] for end in ends):
        if getattr(import_module(holder), name, None) is value:
            return f"{holder}:{name}"
    return ""


@cache
def specs() -> dict[str, LossSpec]:
    """Every contract by name, in the order of the families."""
    found = discover("losscope.losses", "SPEC").values()
    return {spec.name: spec for spec in sorted(found, key=lambda spec: (spec.family, spec.name))}


@cache
def implementations() -> dict[str, Any]:
    """Functions and modules of this package by name, as the ``__all__`` of their files lists them."""
    own: dict[str, Any] = {}
    for spec in specs().values():
        for value in (spec.function, spec.module):
            module = getattr(value, "__module__", None) or ""
            if module.startswith("losscope.losses."):
                source = import_module(module)
                own.update({name: getattr(source, name) for name in getattr(source, "__all__", ())})
    own.pop("SPEC", None)
    return own
