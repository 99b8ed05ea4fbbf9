"""Every loss as data: one file per loss, by family, found by discovery.

``get("cross_entropy")`` and ``all()`` give contracts; the functions and modules that losscope implements itself
are attributes: ``losscope.losses.dice_loss``, ``losscope.losses.DiceLoss``.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from losscope.losses import catalogue

    get, all = catalogue.get, catalogue.specs

_CATALOGUE = {"get": "get", "all": "specs"}


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(f"module 'losscope.losses' has no attribute {name!r}")
    catalogue = import_module("losscope.losses.catalogue")
    if name in _CATALOGUE:
        return getattr(catalogue, _CATALOGUE[name])
    if name in (own := catalogue.implementations()):
        return own[name]
    raise AttributeError(f"module 'losscope.losses' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_CATALOGUE, *import_module("losscope.losses.catalogue").implementations()])
