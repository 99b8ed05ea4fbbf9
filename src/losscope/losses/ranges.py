"""Numbers that options of losses may be: a temperature of 0 or a γ of -1 gives NaN or nonsense, and no error."""

from collections.abc import Callable

from losscope.core.errors import BadUsage


def require_positive(**options: object) -> None:
    """Refuse numbers that are not above 0; tensors, which may be learnt, are not looked at.

    >>> require_positive(temperature=0.1)
    """
    _within(options, lambda x: x > 0, "is above 0")


def require_not_negative(**options: object) -> None:
    """Refuse numbers below 0."""
    _within(options, lambda x: x >= 0, "is 0 or more")


def require_share(**options: object) -> None:
    """Refuse numbers that do not lie from 0 to 1."""
    _within(options, lambda x: 0 <= x <= 1, "lies from 0 to 1")


def _within(options: dict[str, object], fits: Callable[[float], bool], words: str) -> None:
    for name, value in options.items():
        if isinstance(value, int | float) and not fits(value):  # NaN fits nothing
            raise BadUsage(f"{name} {words}", seen=f"{name}={value}")
