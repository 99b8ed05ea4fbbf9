"""Optimisers that are made anew over the same parameters: how long each lived, and whether its state was lost."""

import weakref
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from losscope.core.finding import Where
from losscope.recording import signals
from losscope.watching.outlet import Outlet
from losscope.watching.streams import Stream
from losscope.watching.tensor_trace import TensorTrace

_CLOSELY = 64  # updates after a loss of state that are all looked at


@dataclass(slots=True, eq=False)
class _Life:
    """One optimiser object in one stream. ``writes`` are in-place operations per update on the traced parameter."""

    optimizer: weakref.ref[Any]
    began: int
    site: Where | None
    stateful: bool = False
    closure: bool = False
    trace: TensorTrace | None = None
    traced: int = 0
    before: int = 0
    writes: int | None = None


class OptimizerLives:
    """Writes OPTIMIZER_LIFE where an object with a state gives way to one without, and nothing else happened.

    Nothing else: the new one was made by the same line, and the parameters were not written to between the last
    step of the old object and the first of the new one, as they are where a script starts again from a snapshot.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._lives: dict[str, _Life] = {}
        self._lost: dict[str, int] = {}
        self.watchful = False  # each coming update is to be looked at
        self.first = False  # the step under way is an optimiser's first one

    def begins(self, stream: Stream, optimizer: Any, site: Where | None, *, closure: bool, new: bool) -> None:
        """A step of this optimiser begins; ``new``: its first one."""
        life = self._lives.get(stream.label)
        self.first = new
        if new:
            fresh = _Life(weakref.ref(optimizer), stream.step, site)
            if life is not None and not closure and self._lost_state(life, fresh, stream.step, optimizer):
                lasted = stream.step - life.began
                self._outlet.record(signals.OPTIMIZER_LIFE, stream.label, stream.step, float(lasted))
                if stream.label not in self._lost:
                    self._tell(stream, optimizer, site)
                self._lost[stream.label] = stream.step
            life = self._lives[stream.label] = fresh
        if life is not None and life.optimizer() is optimizer:
            life.closure = life.closure or closure
            p = None if life.trace is None else life.trace.tensor
            life.before = -1 if p is None else p._version
        lost = self._lost.get(stream.label)
        self.watchful = lost is not None and stream.step - lost < _CLOSELY

    def ends(self, stream: Stream, optimizer: Any) -> None:
        """The step has been made, and the stream has counted it."""
        life = self._lives.get(stream.label)
        if life is None or life.optimizer() is not optimizer:
            return
        before = None if life.trace is None else life.trace.tensor
        if before is None:
            life.stateful = _has_state(optimizer)
            having = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            if not having:
                return
            before, life.before = min(having, key=Tensor.numel), -1
        life.trace, life.traced = TensorTrace(before, closely=self.watchful), stream.step
        if life.before >= 0:
            life.writes = before._version - life.before

    def _lost_state(self, life: _Life, fresh: _Life, step: int, optimizer: Any) -> bool:
        if life.closure or not life.stateful or life.trace is None or not _is_fresh(optimizer):
            return False
        if fresh.site is None or fresh.site != life.site:
            return False
        unseen = step - life.traced
        if unseen and life.writes is None:
            return False
        return life.trace.unchanged(life.trace.tensor, unseen * (life.writes or 0))

    def _tell(self, stream: Stream, optimizer: Any, site: Where | None) -> None:
        self._outlet.event(
            "optimizer-replaced",
            stream=stream.label,
            step=stream.step,
            name=type(optimizer).__name__,
            memory=_memory(optimizer),
            where=None if site is None else {"file": site.file, "line": site.line},
        )


def _has_state(optimizer: Any) -> bool:
    """Whether it keeps tensors beside counters: plain gradient descent does not."""
    return any(
        isinstance(value, Tensor)
        for state in optimizer.state.values()
        if isinstance(state, dict)
        for key, value in state.items()
        if key != "step"
    )


def _is_fresh(optimizer: Any) -> bool:
    """Whether nothing is remembered yet; Adagrad makes its state beforehand, with a counter at 0."""
    for state in optimizer.state.values():
        counter = state.get("step") if isinstance(state, dict) else None
        if isinstance(counter, Tensor):
            counter = counter.item() if counter.is_cpu else None
        if counter != 0:
            return False
    return True


def _memory(optimizer: Any) -> list[float]:
    """Updates over which its averages reach back, 1 / (1 - β), shortest first."""
    decays: set[float] = set()
    for group in optimizer.param_groups:
        found = [group.get("momentum"), group.get("alpha"), group.get("rho"), *_numbers(group.get("betas"))]
        decays.update(float(b) for b in found if isinstance(b, int | float) and 0 < b < 1)
    return sorted(1 / (1 - b) for b in decays)


def _numbers(betas: Any) -> list[Any]:
    return list(betas) if isinstance(betas, tuple | list) else []
