"""Losses that take their arguments by keyword only: ``forward(self, *, pred, target)``."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from losscope.checks.target import Target

_ENOUGH = 2
"""With so many arguments by position, what a loss wants by keyword is an option."""


def by_keyword(target: "Target") -> "Target":
    """The loss called by position, where it wants its arguments by keyword; a repro shows the wrapper."""
    names = _required(target)
    count = len(target.parameters)
    if not names or count >= _ENOUGH:
        return target

    def make(more: Mapping[str, Any]) -> Callable[..., Any]:
        loss = target.make(more)
        return lambda *given, **options: loss(
            *given[:count], **dict(zip(names, given[count:], strict=False)), **options
        )

    taken = [*target.parameters, *names]
    given = ", ".join([*target.parameters, *(f"{name}={name}" for name in names)])
    wrapper = f"by_keyword = loss; loss = lambda {', '.join(taken)}: by_keyword({given})"
    return replace(
        target,
        make=make,
        parameters=tuple(taken),
        accepts=target.accepts - set(names),
        source=lambda more: f"{target.source(more)}\n{wrapper}",
        hints=f"{target.hints} {' '.join(names)}",
    )


def _required(target: "Target") -> list[str]:
    loss = target.loss
    try:
        parameters = inspect.signature(getattr(loss, "forward", loss)).parameters.values()
    except (TypeError, ValueError):
        return []
    return [
        p.name
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in target.options
    ]
