"""Numbers that a caller gives: checked once, with the argument's name in the one line that says what is wrong."""

import math
import operator
from typing import Any

from losscope.core.errors import BadUsage


def integer(name: str, value: Any, least: int = 1) -> int:
    """An integer from ``least``."""
    try:
        if isinstance(value, bool):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise BadUsage(f"{name} is an integer from {least}", seen=f"{name}={value!r}") from None
    if found < least:
        raise BadUsage(f"{name} is an integer from {least}", seen=f"{name}={value!r}")
    return found


def real(name: str, value: Any, least: float = -math.inf, *, above: bool = False) -> float:
    """A finite number from ``least``, or ``above`` it."""
    wanted = (
        f"a finite number{'' if least == -math.inf else f' above {least:g}' if above else f' from {least:g}'}"
    )
    try:
        if isinstance(value, bool | str):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise BadUsage(f"{name} is {wanted}", seen=f"{name}={value!r}") from None
    if not math.isfinite(found) or found < least or (above and found <= least):
        raise BadUsage(f"{name} is {wanted}", seen=f"{name}={value!r}")
    return found
