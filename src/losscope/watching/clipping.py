"""Gradient clipping: the norm that ``clip_grad_norm_`` found, until the update that it was made for."""

from collections.abc import Callable
from typing import Any

from losscope.recording import signals
from losscope.watching.values import is_plain, number


class Clipping:
    """Keeps the last norm and its limit."""

    def __init__(self) -> None:
        self._last: tuple[Any, float] | None = None

    def note(self, norm: Any, limit: Any) -> None:
        """Gradients were clipped."""
        if is_plain(norm) and (value := number(norm)) is not None:
            self._last = (value, float(limit))

    def write(self, record: Callable[..., None], label: str, step: int) -> None:
        """The update is made."""
        if self._last is not None:
            record(signals.CLIP_NORM, label, step, self._last[0])
            record(signals.CLIP_LIMIT, label, step, self._last[1])
            self._last = None
