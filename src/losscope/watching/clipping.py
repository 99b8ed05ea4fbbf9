"""Gradient clipping: the norm that was found, the limit, and whether that gradient is the one that is used.

Whether a call comes in time is judged by the state of ``.grad``: untouched since the end of the update before means
that no backward pass came in between. A loss scale is still in the gradient where ``GradScaler`` has not unscaled
any optimiser's gradients since its last update.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from losscope.recording import signals
from losscope.watching.loss_scale import LossScale
from losscope.watching.outlet import Outlet
from losscope.watching.streams import Stream, Streams
from losscope.watching.user_code import user_frame, where
from losscope.watching.values import is_plain, number

IN_ORDER, UNUSED, FOREIGN, SCALED = 0.0, 1.0, 2.0, 3.0


class Clipping:
    """Keeps the last norm and its limit, and the best state of the calls since the last update that was written."""

    def __init__(self, streams: Streams, scale: LossScale, outlet: Outlet) -> None:
        self._streams, self._scale, self._outlet = streams, scale, outlet
        self._last: tuple[Any, float] | None = None
        self._state: float | None = None
        self._told: set[float] = set()
        self._foreign = False

    def note(self, norm: Any, limit: Any) -> None:
        """Gradients were clipped."""
        if self._foreign:  # the norm says nothing of any update
            self._foreign = False
        elif is_plain(norm) and (value := number(norm)) is not None:
            self._last = (value, float(limit))

    def begins(self, parameters: Any, *, known: bool) -> None:
        """They are about to be; ``known`` is false where the state of gradients is not followed."""
        state = self._judge(parameters) if known else None
        self._foreign = state == FOREIGN
        if state is None:
            return
        if state != IN_ORDER and state not in self._told:
            self._told.add(state)
            place = where(user_frame())
            self._outlet.event(
                "clip", state=state, where={"file": place.file, "line": place.line} if place else None
            )
        self._state = state if self._state is None else min(self._state, state)

    def write(self, record: Callable[..., None], label: str, step: int) -> None:
        """The update is made."""
        if self._last is not None:
            record(signals.CLIP_NORM, label, step, self._last[0])
            record(signals.CLIP_LIMIT, label, step, self._last[1])
            self._last = None
        if self._state is not None:
            record(signals.CLIP_STATE, label, step, self._state)
            self._state = None

    def _judge(self, parameters: Any) -> float | None:
        streams = [s for s in self._streams.all if s.parameters]
        if not streams or any(not s.parameters for s in self._streams.all):
            return None
        if isinstance(parameters, Tensor):
            parameters = [parameters]
        if isinstance(parameters, Sequence) and parameters:
            owner = _owner(streams, parameters)
            if owner is None:
                return FOREIGN
        elif len(streams) == 1:
            owner = streams[0]
        else:
            return None
        if owner.gradients.untouched():
            return UNUSED
        return SCALED if self._scale.in_gradients() else IN_ORDER


def _owner(streams: Sequence[Stream], parameters: Sequence[Any]) -> Stream | None:
    """The stream that holds the first of these parameters that any stream holds."""
    return next((s for p in parameters for s in streams if s.holds(p)), None)
