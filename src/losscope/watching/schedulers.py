"""Learning-rate schedulers: which were made for which optimiser, what horizon they have, how often they step.

A scheduler is announced by a ``scheduler`` event once its optimiser has made an update, so that a process that
never trains records nothing. Each step that it makes is counted in SCHEDULER_STEPS, every one up to 256 and then
one in 64. The step that its own construction makes does not count.
"""

import weakref
from collections.abc import Callable
from time import perf_counter
from typing import Any

from torch.optim import lr_scheduler

from losscope.recording import signals
from losscope.watching.user_code import user_frame, where
from losscope.watching.watch import Watch

_EACH, _THEN = 256, 63  # steps that are all recorded; afterwards those with these bits zero
_HORIZONS = (
    "T_max",
    "T_0",
    "T_mult",
    "total_steps",
    "total_iters",
    "step_size",
    "gamma",
    "eta_min",
    "last_epoch",
)
_BASE = lr_scheduler.LRScheduler
_OWN = (
    lr_scheduler.SequentialLR,
    lr_scheduler.ChainedScheduler,
    lr_scheduler.ReduceLROnPlateau,
)
_STEPPING = (_BASE, *_OWN, lr_scheduler.CosineAnnealingWarmRestarts)


class _Seen:
    """One scheduler; ``fields`` is what its event says."""

    __slots__ = ("count", "fields", "label", "optimizer", "ref")

    def __init__(self, scheduler: Any, index: int, fields: dict[str, Any]) -> None:
        self.ref, self.label, self.fields = weakref.ref(scheduler), str(index), fields
        self.optimizer = weakref.ref(scheduler.optimizer)
        self.count = 0


class Schedulers:
    """Hooks of torch's schedulers. Holds no strong reference to them."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._by_id: dict[int, _Seen] = {}
        self._pending: list[_Seen] = []
        self._number = 0
        watch.deep.on_joined = self.joined

    def insert(self, insert: Callable[..., None]) -> None:
        """Set the hooks by ``insert`` (see :meth:`Instrumentation.insert`)."""

        def after(result: Any, scheduler: Any) -> Any:
            self._safely(self._made, scheduler)
            return result

        for kind in (_BASE, *_OWN):
            insert(kind.__init__, after=after, arguments=("self",))
        for kind in _STEPPING:
            insert(kind.step, before=self.stepped, arguments=("self",))

    def stepped(self, scheduler: Any) -> None:
        """Hook at the start of ``scheduler.step()``."""
        seen = self._by_id.get(id(scheduler))
        if seen is not None:
            self._safely(self._count, scheduler, seen)

    def joined(self, optimizer: Any, stream: str) -> None:
        """This optimiser makes its first update: announce the schedulers that were made for it."""
        for seen in [s for s in self._pending if s.optimizer() is optimizer]:
            self._pending.remove(seen)
            self._announce(seen, stream)

    def _safely(self, method: Callable[..., None], *arguments: Any) -> None:
        watch = self._watch
        if watch.off:
            return
        began = perf_counter()
        try:
            method(*arguments)
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            watch.caught("scheduler", error)
        watch.governor.charge_extra(perf_counter() - began)

    def _made(self, scheduler: Any) -> None:
        known = self._by_id.get(id(scheduler))
        if getattr(scheduler, "optimizer", None) is None or (known is not None and known.ref() is scheduler):
            return
        place = where(user_frame())
        seen = _Seen(scheduler, self._number, _described(scheduler))
        seen.fields["where"] = {"file": place.file, "line": place.line} if place else None
        seen.fields["holds"] = [
            inner.label
            for child in getattr(scheduler, "_schedulers", ())
            if (inner := self._by_id.get(id(child))) is not None
        ]
        self._number += 1
        self._by_id[id(scheduler)] = seen
        stream = self._watch.streams.known(scheduler.optimizer)
        if stream is None:
            self._pending.append(seen)
        else:
            self._announce(seen, stream.label)

    def _announce(self, seen: _Seen, stream: str) -> None:
        self._watch.outlet.event("scheduler", stream=stream, scheduler=seen.label, **seen.fields)

    def _count(self, scheduler: Any, seen: _Seen) -> None:
        if seen.ref() is not scheduler:
            return
        seen.count += 1
        if seen.count <= _EACH or not seen.count & _THEN:
            stream = self._watch.streams.known(scheduler.optimizer)
            if stream is None:
                return
            self._watch.outlet.record(
                signals.SCHEDULER_STEPS, f"{stream.label}/{seen.label}", stream.step, float(seen.count)
            )
            if seen.count == 1:
                place = where(user_frame())
                self._watch.outlet.event(
                    "scheduler-step",
                    stream=stream.label,
                    scheduler=seen.label,
                    where={"file": place.file, "line": place.line} if place else None,
                )


def _described(scheduler: Any) -> dict[str, Any]:
    """Class, numbers of its horizon, and whether its steps are those that are counted."""
    numbers: dict[str, Any] = {
        k: v for k in _HORIZONS if isinstance(v := getattr(scheduler, k, None), int | float)
    }
    milestones = getattr(scheduler, "milestones", None)
    if milestones:
        numbers["milestones"] = sorted(int(m) for m in milestones)
    counted = any(type(scheduler).step is kind.step for kind in _STEPPING)
    return {"name": type(scheduler).__name__, "counted": counted, **numbers}
