"""The catalogue: every contract by name, and every function and module that losscope implements itself."""

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any

from losscope.core.errors import BadUsage
from losscope.core.registry import discover
from losscope.losses.spec import LossSpec


def get(name: str) -> LossSpec:
    """The contract of the loss called ``name``, however its function, its module or the field call it.

    Raises :class:`losscope.core.errors.BadUsage` for an unknown name, and for what is no text.

    >>> get("cross_entropy").range
    (0.0, inf)
    >>> get("nn.BCEWithLogitsLoss").name, get("RNN-T").name, get("focal loss").name
    ('binary_cross_entropy_with_logits', 'transducer', 'focal')
    """
    if not isinstance(name, str):
        raise BadUsage(
            "a loss is named by a text", seen=repr(name)[:60], remedy='for example "cross_entropy"'
        )
    known = specs()
    spelled = name.strip().lower().replace("-", "_").replace(" ", "_")
    if spelled in known:
        return known[spelled]
    if (key := _letters(name)) in (other := _other_names()):
        return known[other[key]]
    near = _near(key)
    remedy = f"did you mean {', '.join(near)}?" if near else "`losscope losses` lists every loss"
    raise BadUsage("no loss has this name", seen=name, remedy=remedy)


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


def _letters(name: str) -> str:
    """A name without its module, its punctuation and the word "loss": what people agree about."""
    letters = "".join(c for c in name.strip().rsplit(".", 1)[-1].lower() if c.isalnum())
    return letters.removesuffix("loss") or letters


@cache
def _other_names() -> dict[str, str]:
    """The loss that each name belongs to; a name's first owner keeps it, and its own name comes first."""
    known = specs().values()
    ranks = (
        lambda spec: (spec.name,),
        lambda spec: tuple(getattr(f, "__name__", "") for f in (spec.function, spec.module) if f is not None),
        lambda spec: spec.also,
        lambda spec: (spec.title,),
    )
    found: dict[str, str] = {}
    for names in ranks:
        for spec in known:
            for name in names(spec):
                found.setdefault(_letters(name), spec.name)
    return found


def _near(key: str) -> list[str]:
    """Up to three losses with a similar name, or with this word in one of their names."""
    other = _other_names()
    holding = [name for name in other if len(key) > 2 and key in name]
    close = [*get_close_matches(key, other, n=6, cutoff=0.6), *sorted(holding, key=len)]
    return list(dict.fromkeys(other[name] for name in close))[:3]


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
