"""Every loss as data: one file per loss, by family, found by discovery.

``get("cross_entropy")`` and ``all()`` give contracts; the functions and modules that losscope implements itself
are attributes: ``losscope.losses.dice_loss``, ``losscope.losses.DiceLoss``.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from losscope.losses.spec import LossSpec


def get(name: str) -> "LossSpec":
    """The contract of the loss called ``name``. Raises :class:`losscope.core.errors.BadUsage` for an unknown name.

    >>> get("cross_entropy").range
    (0.0, inf)
    """
    from difflib import get_close_matches

    from losscope.core.errors import BadUsage

    known = all()
    spelled = name.strip().lower().replace("-", "_").replace(" ", "_")
    if spelled in known:
        return known[spelled]
    near = get_close_matches(spelled, known, n=3, cutoff=0.5)
    remedy = f"did you mean {', '.join(near)}?" if near else "`losscope losses` lists every loss"
    raise BadUsage("no loss has this name", seen=name, remedy=remedy)


def all() -> dict[str, "LossSpec"]:
    """Every contract by name, in the order of the families."""
    return dict(_specs())


@cache
def _specs() -> dict[str, "LossSpec"]:
    from losscope.core.registry import discover

    found = discover("losscope.losses", "SPEC").values()
    return {spec.name: spec for spec in sorted(found, key=lambda spec: (spec.family, spec.name))}


@cache
def _own() -> dict[str, Any]:
    """Functions and modules of this package, by name."""
    own: dict[str, Any] = {}
    for spec in _specs().values():
        for value in (spec.function, spec.module):
            module = getattr(value, "__module__", None) or ""
            if module.startswith("losscope.losses."):
                source = import_module(module)
                own.update({name: getattr(source, name) for name in getattr(source, "__all__", ())})
    own.pop("SPEC", None)
    return own


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name in _own():
        return _own()[name]
    raise AttributeError(f"module 'losscope.losses' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["all", "get", *_own()])
