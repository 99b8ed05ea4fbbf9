"""In which mode the layers really run that differ in it: dropout and batch normalisation, told by their own functions.

``training`` of a wrapper may lie, and an unused layer's does not matter; what torch's functions are called with does.
Under autograd calls are counted, for sampled updates. Without it they may belong to an evaluation, which is known
only when a loss is computed there, or when a loader of other data feeds it.

Cost: about 0.3 microseconds per call of ``functional.dropout`` and ``functional.batch_norm``; no tensor is touched.
"""

import linecache
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch.nn import functional

from losscope.watching.loaders import Loaders
from losscope.watching.user_code import is_library, user_frame, where

RAN, DROPPED, OF_BATCH, BY_FUNCTION = 1, 2, 4, 8
"""Bits: a layer with a mode ran; dropout was on; statistics of the batch were used; dropout is always on as written."""
_DROPOUTS = ("alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout")
_USUAL = (1e-9, 0.9)  # momenta between which running statistics are an average
_GOES_ON = 32  # calls
_TURN = 16  # calls; then at each power of two
_TOLD = 16

_grad = torch.is_grad_enabled


class Modes:
    """What ran since somebody last asked."""

    def __init__(self, loaders: Loaders, event: Callable[..., None]) -> None:
        self._loaders, self._event = loaders, event
        self._calls = [0, 0, 0, 0]  # of training forward passes: dropout off, on; batch normalisation off, on
        self._evaluated = False
        self._off = 0  # calls that were off since the last one that was on
        self._was_on, self._row = False, _TURN
        self.on_turn: Callable[[int], None] = _nothing  # told how many calls in a row were off
        self._norms = 0  # calls of batch normalisation that update running statistics
        self._momenta: dict[float, int] = {}  # of those, by a momentum that makes no average
        self._bits = 0
        self._odd_told: set[float] = set()
        self._told: set[tuple[str, int, bool]] = set()

    def hooks(self) -> list[tuple[Any, Callable[..., None], tuple[str, ...]]]:
        """(function of torch, what to call before it, with which of its arguments)."""
        dropouts = [(getattr(functional, name), self._dropout, ("p", "training")) for name in _DROPOUTS]
        norm = (functional.batch_norm, self._batch_norm, ("running_mean", "training", "momentum"))
        return [*dropouts, norm]

    def take(self) -> int:
        """The bits of what ran without autograd since this was last asked."""
        bits, self._bits = self._bits, 0
        return bits

    def _dropout(self, p: Any, training: Any) -> None:
        if type(p) is not float or p == 0.0:
            return
        if _grad():
            self._counted(0, on=training is True)
        else:
            self._bits |= RAN
            if training is True and not self._bits & (DROPPED | BY_FUNCTION):
                self._bits |= self._suspected(DROPPED)

    def _batch_norm(self, running_mean: Any, training: Any, momentum: Any) -> None:
        if running_mean is None:
            return
        if _grad():
            self._counted(2, on=training is True)
            if training is True:
                self._norms += 1
                if type(momentum) is float and not _USUAL[0] < momentum < _USUAL[1]:
                    self._odd(momentum)
        else:
            self._bits |= RAN
            if training is True and not self._bits & OF_BATCH:
                self._bits |= self._suspected(OF_BATCH)

    def _counted(self, place: int, *, on: bool) -> None:
        """A call of a forward pass with autograd. Where all of many are off that were on, a sample is asked for."""
        self._bits = 0
        self._calls[place + on] += 1
        if on:
            if (
                self._off >= self._row
            ):  # an attack, or a validation under autograd: the next row is to be longer
                self._turn(0)
                self._row = 2 * self._off
            self._off, self._was_on = 0, True
            return
        self._off += 1
        if self._off >= self._row and self._was_on and not self._off & (self._off - 1):
            self._turn(self._off)

    def _turn(self, calls: int) -> None:
        if not self._evaluated:
            self._calls = [0, 0, 0, 0]
            try:
                self.on_turn(calls)
            except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
                self._event("fault", where="modes", error=f"{type(error).__name__}: {error}")

    def _odd(self, momentum: float) -> None:
        """With ``momentum=None`` the first call of each layer has 1: only what goes on counts, and is told once."""
        count = self._momenta[momentum] = self._momenta.get(momentum, 0) + 1
        if count >= _GOES_ON and 2 * count >= self._norms and momentum not in self._odd_told:
            self._odd_told.add(momentum)
            self._event("norm-momentum", momentum=momentum)

    def look(self) -> tuple[tuple[int, int, int, int], bool]:
        """Calls in training forward passes since the last look: dropout off and on, batch normalisation off and on; and
        whether all of them are off now and were not before, or the other way round."""
        calls = self._calls
        self._calls = [0, 0, 0, 0]
        evaluates = not (calls[1] or calls[3]) if any(calls) else self._evaluated
        turned, self._evaluated = evaluates is not self._evaluated, evaluates
        return (calls[0], calls[1], calls[2], calls[3]), turned

    def _suspected(self, bit: int) -> int:
        """The bit, or 0 where a fault of ours or the user's wish stands against it."""
        try:
            return self._judged(bit, sys._getframe(2))
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self._event("fault", where="modes", error=f"{type(error).__name__}: {error}")
            return 0

    def _judged(self, bit: int, frame: FrameType) -> int:
        """A layer ran in training mode without autograd: not where somebody wanted just that."""
        outermost = _outermost_module(frame)
        if outermost is not None and not outermost.training:
            if bit != DROPPED or not _forgets_the_mode(frame.f_back):
                return 0
            bit = BY_FUNCTION
        fed = self._loaders.feeds_evaluation()
        if fed or bit == BY_FUNCTION:
            self._tell(bit, frame.f_back if bit == BY_FUNCTION else caller_of_modules(), fed=fed)
        return bit

    def _tell(self, bit: int, frame: FrameType | None, *, fed: bool) -> None:
        place = where(frame)
        if place is None or len(self._told) >= _TOLD or (place.file, place.line, fed) in self._told:
            return
        self._told.add((place.file, place.line, fed))
        self._event("mode", bits=bit, fed=fed, where={"file": place.file, "line": place.line})


def _nothing(_calls: int) -> None:
    """Nobody wants to know."""


def caller_of_modules() -> FrameType | None:
    """The user's line that calls the outermost module, or the innermost of the user's own where there is none."""
    frame, found = sys._getframe(1), None
    while frame is not None:
        if frame.f_code.co_name == "_call_impl":
            found = frame
        frame = frame.f_back
    while found is not None and is_library(found.f_code.co_filename):
        found = found.f_back
    return found or user_frame()


def _outermost_module(frame: FrameType | None) -> Any:
    """The module whose call is under way and that no other module's call contains."""
    found = None
    while frame is not None:
        if frame.f_code.co_name == "_call_impl":
            found = frame.f_locals.get("self", found)
        frame = frame.f_back
    return found


def _forgets_the_mode(frame: FrameType | None) -> bool:
    """Whether a line of the user's own calls a dropout function and does not say when it is on."""
    if frame is None or is_library(frame.f_code.co_filename):
        return False
    return "training" not in linecache.getline(frame.f_code.co_filename, frame.f_lineno)
