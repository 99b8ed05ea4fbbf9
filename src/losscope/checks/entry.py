"""What a call of a loss runs, and which names it takes: by position, and as options."""

import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any

from torch.nn import Module

from losscope.core.errors import BadUsage

FIXED_OPTIONS = frozenset({"args", "kwargs", "self"})


def entry(loss: Any, name: str) -> Callable[..., Any]:
    """What a call of an instance runs. Raises ``BadUsage`` where there is nothing, or nothing that takes inputs."""
    function = getattr(loss, "forward", loss.__call__)
    if isinstance(loss, Module) and getattr(function, "__func__", None) is Module.forward:
        if type(loss).__call__ is Module.__call__:
            raise BadUsage(f"{name} has no forward", remedy="define forward(self, input, target)")
        function = loss.__call__
    if _takes_nothing(function):
        raise BadUsage(
            f"a call of {name} takes no arguments",
            remedy="a loss takes predictions, and mostly targets as well",
        )
    return function


def _takes_nothing(function: Callable[..., Any]) -> bool:
    try:
        return not inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def refuse_unknown(name: str, options: Iterable[str], keywords: Collection[str]) -> None:
    """Raises ``BadUsage`` for an option that is none of the names that can be given by keyword."""
    unknown = sorted(set(options) - set(keywords)) if keywords else []
    if unknown and "kwargs" not in keywords:
        known = ", ".join(k for k in keywords if k not in FIXED_OPTIONS)
        raise BadUsage(
            f"{name} has no option {unknown[0]}", seen=f"{unknown[0]}=…", remedy=f"it has: {known}"
        )


def signature(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Names without a default that can be given by position, and all names that can be given by keyword."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # builtins without a signature
        return [], []
    required = [
        p.name
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    keywords = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        keywords.append("kwargs")
    return required, keywords
