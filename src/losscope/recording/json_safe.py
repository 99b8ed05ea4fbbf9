"""Anything to JSON that every reader accepts, without secrets and without running much foreign code."""

import json
import math
from collections.abc import Mapping, Set
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any

from losscope.recording.redaction import redact_text

MAX_DEPTH = 16
MAX_REPR = 200


def json_safe(value: Any, depth: int = 0) -> Any:
    """The value as JSON types. Non-finite numbers become ``"nan"``, ``"inf"``, ``"-inf"``; what JSON does not
    know becomes a short text.

    >>> json_safe({"loss": float("nan"), "shape": (2, 3)})
    {'loss': 'nan', 'shape': [2, 3]}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Real):
        return _number(value)
    if isinstance(value, str | PurePath):
        return redact_text(str(value))
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return {_key(k): json_safe(v, depth + 1) for k, v in value.items()}
    if depth < MAX_DEPTH and isinstance(value, list | tuple | Set):
        return [json_safe(v, depth + 1) for v in value]
    return short_repr(value)


def dumps(value: Any) -> bytes:
    """One line of ASCII JSON."""
    return json.dumps(json_safe(value), allow_nan=False, separators=(",", ":")).encode("ascii")


def _key(key: Any) -> str:
    return key if isinstance(key, str) else short_repr(key)


def _number(value: Real) -> int | float | str:
    """The number, or text where it is not finite or an integer beyond 64 bits."""
    if isinstance(value, Integral):
        whole = int(value)
        return whole if abs(whole) < 1 << 63 else _shortened(hex(whole))
    number = float(value)
    return number if math.isfinite(number) else repr(number)


def short_repr(value: Any) -> str:
    """At most ``MAX_REPR`` characters. Of arrays only the type: printing one may wait for the accelerator."""
    name = type(value).__qualname__
    if hasattr(type(value), "__array__"):
        return f"<{name}>"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything; the type is what can be said
        return f"<{name}>"
    return redact_text(_shortened(text))


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_REPR else text[: MAX_REPR - 1] + "…"
