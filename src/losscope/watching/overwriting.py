"""Parameters that something other than an optimiser writes to between two updates.

Version counters tell at no cost per update: after n updates they stand at n times the in-place operations of one
update, unless something else has written. Writes through ``.data`` leave the counters as they are; they are seen by
the values, where two updates in a row are looked at: the first ones, those after a call of ``load_state_dict`` or
``apply`` on the model, and some after a write was noticed. What was written decides, not that it was: an average
that is swapped in for an evaluation and out again changes nothing.
"""

import math
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from losscope.core.finding import Where
from losscope.recording import signals
from losscope.watching.deep import undisturbed
from losscope.watching.outlet import Outlet
from losscope.watching.streams import Stream
from losscope.watching.user_code import user_frame, where
from losscope.watching.values import is_plain
from losscope.watching.weak_tensors import TensorRef, weak

_CLOSELY = 64  # first updates of a stream whose values are compared
_CREDIT = 2048  # updates that are looked at after a write was noticed, all in all
_FETCHED = 32  # times that values are fetched from an accelerator, which waits for it
_PARAMETERS, _ELEMENTS = 3, 64
_BETWEEN = 1e-3  # of the way: an average of the start and the end of the updates, up to rounding
_STATES = 256  # earlier states of a stream that are kept in mind

Values = tuple[float, ...]


@dataclass(slots=True, eq=False)
class _Watched:
    """One optimiser and a few of its parameters, as its last update left them."""

    stream: Stream
    optimizer: weakref.ref[Any]
    groups: int
    parameters: list[TensorRef]
    versions: list[int]
    addresses: list[int]
    origin: Values  # where the updates since the last write began
    at: int  # updates made at the last look
    since: int  # updates made at that last write
    writes: list[int] | None = None  # by one update
    before: list[int] = field(default_factory=list)
    values: Values | None = None
    seen: dict[Values, int] = field(default_factory=dict)
    site: Where | None = None

    def live(self) -> list[Tensor] | None:
        found = [p for ref in self.parameters if (p := ref()) is not None]
        return found if len(found) == len(self.parameters) else None


class Overwriting:
    """Writes RETURNED and OVERWRITTEN, and one ``overwritten`` event per stream."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._watched: dict[str, _Watched] = {}
        self._told: set[str] = set()
        self._alert, self._credit, self._fetched = 0, _CREDIT, 0

    @property
    def watchful(self) -> bool:
        """Whether each coming update is to be looked at."""
        return self._alert > 0 and self._credit > 0

    def begins(self, stream: Stream, optimizer: Any, *, closure: bool) -> None:
        """A step of this optimiser begins."""
        if self.watchful:
            self._alert -= 1
            self._credit -= 1
        watched = self._watched.get(stream.label)
        same = (
            watched is not None
            and watched.optimizer() is optimizer
            and watched.groups == id(optimizer.param_groups)
        )
        found = watched.live() if watched is not None and same and not closure else None
        if watched is None or found is None:
            self._watched.pop(stream.label, None)
            if not closure:
                self._begin(stream, optimizer)
            return
        if self._written(watched, found) or self._back_again(watched, found):
            self._judge(watched, found)
            watched.addresses = [_address(p) for p in found]
        watched.before = [p._version for p in found]
        watched.site = None

    def ends(self, stream: Stream, optimizer: Any) -> None:
        """It has ended, and the stream has counted it."""
        watched = self._watched.get(stream.label)
        found = watched.live() if watched is not None and watched.optimizer() is optimizer else None
        if watched is None or found is None:
            return
        watched.versions = [p._version for p in found]
        if watched.before:
            made = [now - before for now, before in zip(watched.versions, watched.before, strict=True)]
            steady = watched.writes is None or watched.writes == made
            watched.writes = made if steady else None
        watched.at, watched.before = stream.step, []
        closely = stream.step < _CLOSELY or self.watchful
        watched.values = _values(found) if closely and found[0].is_cpu else None

    def expected(self, parameters: Iterable[Any]) -> bool:
        """A call that may write to these parameters is about to be made: note what they are."""
        given = {id(p) for p in parameters}
        concerned = False
        for watched in self._watched.values():
            found = watched.live()
            if found is None or not any(id(p) in given for p in found) or watched.before:
                continue
            concerned = True
            if watched.at == watched.stream.step or not self._written(watched, found):
                watched.values = self._fetch(found)
                watched.versions, watched.at = [p._version for p in found], watched.stream.step
            watched.site = where(user_frame())
        return concerned

    def _begin(self, stream: Stream, optimizer: Any) -> None:
        held = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        others = [w.stream for w in self._watched.values()]
        held = [p for p in held if p.numel() and is_plain(p) and not any(o.holds(p) for o in others)]
        held.sort(key=Tensor.numel)
        chosen = list({id(p): p for p in (*held[:1], *held[len(held) // 2 :][:1], *held[-1:])}.values())
        origin = self._fetch(chosen) if chosen else None
        if origin is None:
            return
        self._watched[stream.label] = _Watched(
            stream,
            weakref.ref(optimizer),
            id(optimizer.param_groups),
            [weak(p) for p in chosen[:_PARAMETERS]],
            [p._version for p in chosen],
            [_address(p) for p in chosen],
            origin,
            stream.step,
            stream.step,
            before=[p._version for p in chosen],
            seen={origin: stream.step},
        )

    def _written(self, watched: _Watched, found: list[Tensor]) -> bool:
        """Whether anything but the updates has written to these parameters since the last look."""
        passed = watched.stream.step - watched.at
        if passed and watched.writes is None:
            return False
        made = watched.writes or [0] * len(found)
        expected = [v + passed * w for v, w in zip(watched.versions, made, strict=True)]
        if [p._version for p in found] != expected or [_address(p) for p in found] != watched.addresses:
            return True
        return not passed and watched.values is not None and watched.values != _values(found)

    def _back_again(self, watched: _Watched, found: list[Tensor]) -> bool:
        """Whether the values after updates that were not looked at are those of an earlier state.

        A data loader that begins a new pass ends such a stretch, so that the first update of an epoch is looked at.
        """
        passed = watched.stream.step - watched.at
        return passed > 0 and found[0].is_cpu and watched.seen.get(_values(found), watched.at) < watched.at

    def _judge(self, watched: _Watched, found: list[Tensor]) -> None:
        """What was written: the same as before, an earlier state, or something else."""
        step = watched.stream.step
        before = watched.values if watched.at == step else None
        now = self._fetch(found)
        if now is None:
            return
        if before == now:
            self._alert = 0
            return
        self._alert = max(_CLOSELY, 2 * (step - watched.since))
        label = watched.stream.label
        if watched.seen.get(now, step) < step:
            self._outlet.record(signals.RETURNED, label, step, float(step - watched.since))
            self._tell(watched)
        elif before is not None and (aside := _aside(watched.origin, before, now)) > _BETWEEN:
            self._outlet.record(signals.OVERWRITTEN, label, step, aside)
            self._tell(watched)
        if len(watched.seen) < _STATES:
            watched.seen.setdefault(now, step)
        watched.origin, watched.since = now, step

    def _fetch(self, found: list[Tensor]) -> Values | None:
        """The values, unless an accelerator was waited for too often."""
        if not found[0].is_cpu:
            if self._fetched >= _FETCHED:
                return None
            self._fetched += 1
            with undisturbed():
                return _values(found)
        return _values(found)

    def _tell(self, watched: _Watched) -> None:
        if watched.stream.label not in self._told:
            self._told.add(watched.stream.label)
            site = watched.site
            self._outlet.event(
                "overwritten",
                stream=watched.stream.label,
                step=watched.stream.step,
                where=None if site is None else {"file": site.file, "line": site.line},
            )


def _aside(origin: Values, before: Values, now: Values) -> float:
    """Distance of ``now`` from the segment between the other two, by its length: 0 for any average of them."""
    path = [b - o for o, b in zip(origin, before, strict=True)]
    length = math.hypot(*path)
    if not 0 < length < math.inf:
        return 0.0
    jump = [n - o for o, n in zip(origin, now, strict=True)]
    share = min(max(sum(j * d for j, d in zip(jump, path, strict=True)) / length**2, 0.0), 1.0)
    return math.hypot(*(j - share * d for j, d in zip(jump, path, strict=True))) / length


def _values(parameters: Iterable[Tensor]) -> Values:
    """Evenly spaced elements of each."""
    found: list[float] = []
    for parameter in parameters:
        flat = parameter.detach().flatten()
        found += flat[:: -(-flat.numel() // _ELEMENTS)].tolist()
    return tuple(found)


def _address(tensor: Tensor) -> int:
    return tensor.data_ptr() if tensor.layout is torch.strided else 0
