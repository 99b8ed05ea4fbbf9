"""The catalogue: every contract by name, and every function and module that losscope implements itself."""

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any

from losscope.core.errors import BadUsage
from losscope.core.registry import discover
from losscope.losses.spec import LossSpec


def get(name: str) -> LossSpec:
    """The contract of the loss called ``name``. Raises :class:`losscope.core.errors.BadUsage` for an unknown name.

    >>> get("cross_entropy").range
    (0.0, inf)
    """
    known = specs()
    spelled = name.strip().lower().replace("-", "_").replace(" ", "_")
    if spelled in known:
        return known[spelled]
    near = get_close_matches(spelled, known, n=3, cutoff=0.5)
    remedy = f"did you mean {', '.join(near)}?" if near else "`losscope losses` lists every loss"
    raise BadUsage("no loss has this name", seen=name, remedy=remedy)


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
