"""The way of a gradient: computed by a backward, still there at the step, used once by the right optimiser.

Pure counting of backwards and steps, confirmed by the state of ``.grad`` wherever something is missing: gradients
may be written by hand, by other processes or by a replayed graph, which no hook sees.
"""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from losscope.core.finding import Where
from losscope.recording import signals
from losscope.watching.loss_scale import LossScale
from losscope.watching.naming import Names
from losscope.watching.optimizer_lives import OptimizerLives
from losscope.watching.outlet import Outlet
from losscope.watching.overwriting import Overwriting
from losscope.watching.scale_use import ScaleUse
from losscope.watching.streams import Stream, Streams
from losscope.watching.tensor_trace import TensorTrace
from losscope.watching.unstepped import Unstepped
from losscope.watching.user_code import user_frame, where
from losscope.watching.values import is_plain
from losscope.watching.weak_tensors import weak

_CLOSELY = 256  # updates of a stream that are all looked at in full
_THEN = 17  # afterwards one in so many; odd and prime, so that no rhythm of the script hides from it
_ATTENDED = 32  # first backwards after which the gradient is looked at
_CHEAP = 65536  # elements that are searched for a non-zero
_SITES = 4096


Reference = Callable[[], Any]


@dataclass(slots=True, eq=False)
class _Mark:
    """The end of an optimiser's last step: backwards so far, and the smallest of its gradients."""

    optimizer: weakref.ref[Any]
    backwards: int
    parameter: Reference
    gradient: TensorTrace | None


class GradientPath:
    """Writes EMPTY_STEP, OPTIMIZER_LIFE, SCALE_LEFT and what its parts write."""

    def __init__(self, outlet: Outlet, names: Names, scale: LossScale) -> None:
        self.off = (
            False  # part of the training is replayed: not every gradient has a backward that can be seen
        )
        self._outlet = outlet
        self._lives, self._unstepped = OptimizerLives(outlet), Unstepped(outlet, names)
        self._scales = ScaleUse(outlet, scale)
        self.overwriting = Overwriting(outlet)
        self._backwards = 0
        self._attended = 0
        self._marks: dict[int, _Mark] = {}
        self._fresh: dict[
            str, tuple[int, Reference]
        ] = {}  # parameters that had a gradient right after a backward
        self._looked: dict[tuple[str, str], int] = {}
        self._suspected = False
        self._sites: dict[int, tuple[weakref.ref[Any], Where | None]] = {}

    @property
    def attends(self) -> bool:
        """Whether the end of this backward is of interest."""
        wanted = self._unstepped.wanted or self._scales.wanted
        return (self._attended < _ATTENDED or wanted) and not self.off

    @property
    def watchful(self) -> bool:
        """Whether each coming update is to be looked at."""
        return self._lives.watchful or self.overwriting.watchful

    def made(self, optimizer: Any) -> None:
        """An optimiser was made by the line that is running."""
        site = where(user_frame())
        if len(self._sites) > _SITES:
            self._sites = {k: entry for k, entry in self._sites.items() if entry[0]() is not None}
        self._sites[id(optimizer)] = weakref.ref(optimizer), site
        self._unstepped.made(optimizer, site)

    def backward(self, outputs: Iterable[Any], *, cleared: bool) -> None:
        """A backward of these roots begins; ``cleared``: the gradient of the one before was thrown away or used."""
        self._backwards += 1
        self._unstepped.backward(cleared=cleared)
        self._scales.backward(outputs)

    def backward_done(self, streams: Streams) -> None:
        """It has ended: of each stream the smallest gradient that is not all zero is noted."""
        if not self.attends:
            return
        self._unstepped.backward_done(streams)
        self._scales.backward_done(streams.all)
        self._attended += 1
        if self._attended > _ATTENDED:
            return
        for stream in streams.all:
            live = (p for ref in stream.parameters.values() if (p := ref()) is not None)
            smallest = _with_smallest_gradient(live)
            if smallest is not None and _is_cheap(smallest) and not _is_zero(smallest.grad):
                self._fresh[stream.label] = self._backwards, weak(smallest)

    def passed_over(self) -> None:
        """Updates went by unseen: what was noted before them says nothing any more."""
        self._marks.clear()
        self._fresh.clear()

    def step_begins(
        self, stream: Stream, optimizer: Any, *, closure: bool = False, new: bool = False
    ) -> None:
        """An optimiser's step begins."""
        if new:
            site = self._site(optimizer)
            self._unstepped.stepped(optimizer)
        else:
            site = None
        self._lives.begins(stream, optimizer, site, closure=closure, new=new)
        self._scales.step_begins(stream, optimizer)
        self.overwriting.begins(stream, optimizer, closure=closure)
        if closure or self.off:
            self._marks.pop(id(optimizer), None)
            return
        if not self._was_cleared(stream, optimizer):
            self._has_new(stream, optimizer)

    def step_ends(self, stream: Stream, optimizer: Any) -> None:
        """It has ended."""
        self.overwriting.ends(stream, optimizer)
        passes = stream.step > _CLOSELY and stream.step % _THEN
        if passes and not (self._lives.first or self._lives.watchful):
            self._marks.pop(id(optimizer), None)
            return
        self._lives.ends(stream, optimizer)
        if self.off:
            return
        mark = self._marks.get(id(optimizer))
        parameter = None if mark is None or mark.optimizer() is not optimizer else mark.parameter()
        if parameter is None or parameter.grad is None:
            parameter = _with_smallest_gradient(_held(optimizer))
        gradient = None if parameter is None else parameter.grad
        self._marks[id(optimizer)] = _Mark(
            weakref.ref(optimizer),
            self._backwards,
            _nothing if parameter is None else weak(parameter),
            None if gradient is None else TensorTrace(gradient, closely=self._suspected),
        )

    def clipped(self, norm: Any, limit: Any) -> None:
        """Gradients were clipped; ``norm`` is what they had before."""
        if is_plain(norm):
            self._scales.clipped(norm.detach(), limit)

    def finish(self) -> None:
        self._unstepped.finish()

    def _site(self, optimizer: Any) -> Where | None:
        entry = self._sites.get(id(optimizer))
        return entry[1] if entry is not None and entry[0]() is optimizer else None

    def _was_cleared(self, stream: Stream, optimizer: Any) -> bool:
        """Gradients that stood there after the last backward are gone or overwritten with zeros, all of them."""
        at, parameter = self._fresh.pop(stream.label, (0, _nothing))
        noted = parameter()
        if noted is None or at != self._backwards:
            return False
        gone = _is_zero(noted.grad) and all(_is_zero(p.grad) for p in _held(optimizer))
        return self._count(stream, "cleared", gone)

    def _has_new(self, stream: Stream, optimizer: Any) -> None:
        """Is there a gradient that this optimiser has not used yet?"""
        mark = self._marks.get(id(optimizer))
        if mark is None or mark.optimizer() is not optimizer:
            return
        parameter = mark.parameter()
        gradient = None if parameter is None else parameter.grad
        empty = mark.backwards == self._backwards
        self._count(
            stream, "none", empty and gradient is None and all(p.grad is None for p in _held(optimizer))
        )
        again = empty and mark.gradient is not None and mark.gradient.unchanged(gradient)
        self._count(stream, "repeated", again and self._suspected)
        self._suspected = self._suspected or again  # from now on the values are compared as well

    def _count(self, stream: Stream, kind: str, happened: bool) -> bool:
        key = stream.label, kind
        looked = self._looked[key] = self._looked.get(key, 0) + 1
        if happened:
            self._outlet.record(signals.EMPTY_STEP, f"{stream.label}/{kind}", stream.step, float(looked))
        return happened


def _nothing() -> None:
    """Stands for a reference to what is gone."""


def _held(optimizer: Any) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _with_smallest_gradient(parameters: Iterable[Tensor]) -> Tensor | None:
    having = [p for p in parameters if p.grad is not None and not p.grad.is_sparse]
    return min(having, key=Tensor.numel, default=None)


def _is_zero(gradient: Tensor | None) -> bool:
    return gradient is None or not (gradient.is_sparse or bool(gradient.any()))


def _is_cheap(tensor: Tensor) -> bool:
    """Small, and no device has to be waited for."""
    return tensor.is_cpu and tensor.numel() <= _CHEAP
