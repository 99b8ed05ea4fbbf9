"""The ``nn.Module`` form of a functional loss, with ``torch.nn``'s conventions."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from losscope.core.errors import BadUsage


class FunctionalLoss(nn.Module):
    """A loss whose options are given once; :func:`as_module` makes a subclass for each function.

    Tensor options become buffers (they move with ``.to`` but are not saved, as they are options).
    """

    function: Callable[..., Tensor]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        known = _options(type(self).function)
        wrong = sorted(set(options) - set(known))
        if wrong:
            raise BadUsage(
                f"{type(self).__name__} has no such option",
                seen=", ".join(wrong),
                remedy=f"known: {', '.join(known)}",
            )
        missing = [n for n, p in known.items() if p.default is inspect.Parameter.empty and n not in options]
        if missing:
            raise BadUsage(f"{type(self).__name__} needs the option {missing[0]}", remedy=f"{missing[0]}=…")
        self.options = tuple(known)
        for name, parameter in known.items():
            value = options.get(name, parameter.default)
            if isinstance(value, Tensor):
                self.register_buffer(name, value, persistent=False)
            else:
                setattr(self, name, value)

    def forward(self, *arguments: Tensor) -> Tensor:
        return type(self).function(*arguments, **{name: getattr(self, name) for name in self.options})

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.options)


def as_module(function: Callable[..., Tensor], name: str) -> type[FunctionalLoss]:
    """A module class called ``name``; its options are the keyword-only parameters of ``function``."""
    about = f"Module form of :func:`{getattr(function, '__name__', name)}`."
    module = type(
        name,
        (FunctionalLoss,),
        {
            "function": staticmethod(function),
            "__module__": function.__module__,
            "__qualname__": name,
            "__doc__": f"{about}\n\n{inspect.getdoc(function) or ''}",
        },
    )
    module.__signature__ = inspect.Signature(list(_options(function).values()))  # type: ignore[attr-defined]
    return module


def _options(function: Callable[..., Tensor]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
