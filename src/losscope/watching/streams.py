"""Streams: which optimiser is minimising what, and what one update consists of.

Pure bookkeeping over four events: a backward begins, an optimiser's step begins, it ends, the run
ends. No tensor is touched here, so that the logic can be tested with plain objects.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from losscope.recording import signals
from losscope.recording.signals import Signal
from losscope.watching.gradient_state import GradientState
from losscope.watching.weak_tensors import TensorRef, weak

Write = Callable[[int, float], None]


@dataclass(slots=True, eq=False)
class Stream:
    """One objective being minimised. ``step`` is the index of the update being prepared.

    ``timed`` updates have a known time; that of the last of them is ``unwritten`` where the fast path made it.
    """

    label: str
    parameters: dict[int, TensorRef]  # by id; the reference tells whether it is still that one
    step: int = 0
    timed: int = 0
    unwritten: float | None = None
    rates: list[Any] = field(default_factory=list)
    gradients: GradientState = field(default_factory=GradientState)
    stale: bool | None = None
    write_loss: Any = None
    write_time: Any = None
    write_stale: Any = None

    def holds(self, parameter: Any) -> bool:
        """Whether this very object is among this stream's parameters."""
        known = self.parameters.get(id(parameter))
        return known is not None and known() is parameter

    def open(self, writer: Callable[[Signal, str], Write]) -> Write:
        """Get the series that every update writes to; the one of the loss is returned."""
        self.write_loss = writer(signals.LOSS, self.label)
        self.write_time = writer(signals.STEP_TIME, self.label)
        self.write_stale = writer(signals.STALE_GRADIENT, self.label)
        return self.write_loss

    def write(self, step: int, seconds: float) -> None:
        """An update was made ``seconds`` after the start: its time, and what was judged at its beginning."""
        self.write_time(step, seconds)
        self.timed, self.unwritten = step + 1, None
        if self.stale is not None:
            self.write_stale(step, float(self.stale))
            self.stale = None

    def changed_rates(self, optimizer: Any) -> list[tuple[str, float]]:
        """Label and learning rate of each parameter group, where any has changed."""
        rates = [group.get("lr") for group in optimizer.param_groups]
        if rates == self.rates:
            return []
        self.rates = rates
        return [(f"{self.label}/{i}", float(r)) for i, r in enumerate(rates) if isinstance(r, int | float)]


class Streams:
    """Assigns optimisers to streams, by the parameters they hold and never by ``id`` alone."""

    def __init__(self) -> None:
        self.all: list[Stream] = []
        self.by_id: dict[int, tuple[weakref.ref[Any], Stream]] = {}

    @property
    def main_step(self) -> int:
        """The step index of the first stream; 0 where there is none."""
        return self.all[0].step if self.all else 0

    @property
    def last_step(self) -> int:
        """The largest step index of any stream."""
        return max((stream.step for stream in self.all), default=0)

    def passed(self, now: float) -> None:
        """Updates were made since the last look, the last of them about now."""
        for stream in self.all:
            if stream.step != stream.timed:
                stream.timed, stream.unwritten = stream.step, now

    def cleared_within(self, cleared: bool) -> None:
        """Gradients were cleared between two backwards of an update: those of the update before are gone as well."""
        for stream in self.all if cleared else ():
            stream.stale = False

    def of(self, optimizer: Any) -> tuple[Stream, bool]:
        """The stream of an optimiser, and whether this optimiser object is new to it.

        An optimiser that holds mostly the parameters of an earlier one continues that one's stream:
        it was re-created, or it wraps the other.
        """
        stream = self.known(optimizer)
        if stream is not None:
            return stream, False
        held = [p for group in optimizer.param_groups for p in group["params"]]
        stream = self._overlapping(held)
        if stream is None:
            stream = Stream(str(len(self.all)), {})
            self.all.append(stream)
        stream.parameters.update((id(p), weak(p)) for p in held)
        stream.rates = []
        self.by_id[id(optimizer)] = (weakref.ref(optimizer), stream)
        return stream, True

    def known(self, optimizer: Any) -> Stream | None:
        """The stream of an optimiser that has stepped before; ``None`` for a new one."""
        entry = self.by_id.get(id(optimizer))
        return entry[1] if entry is not None and entry[0]() is optimizer else None

    def manual(self) -> Stream:
        """The one stream of a script that updates its parameters without a torch optimiser."""
        if not self.all:
            self.all.append(Stream("0", {}))
        return self.all[0]

    def _overlapping(self, held: list[Any]) -> Stream | None:
        for stream in self.all:
            if not stream.parameters:  # taken for updates by hand until this optimiser appeared
                return stream
            if 2 * sum(map(stream.holds, held)) > min(len(stream.parameters), len(held)) > 0:
                return stream
        return None


@dataclass(slots=True)
class Cycle:
    """The backward roots that add up to the gradient of the coming update.

    ``fresh`` is true before the first of them: after the last update was made, or at the start.
    """

    roots: list[Any] = field(default_factory=list)
    inside: list[Any] = field(default_factory=list)
    count: int = 0
    fresh: bool = True

    def begin(self) -> None:
        """A new update begins."""
        self.roots.clear()
        self.inside.clear()
        self.count = 0
        self.fresh = True

    def add(self, value: Any, *, inside_step: bool, cleared: bool) -> None:
        """A backward begins. ``cleared``: gradients of the earlier roots were wiped before it."""
        if self.fresh:
            if self.count:
                self.begin()
            self.fresh = False
        elif cleared:
            if not inside_step:
                self.count -= len(self.roots)
                self.roots.clear()
            elif not self.inside:
                value = (
                    None  # as in SAM: the step evaluates again elsewhere; the loss is that before the step
                )
        (self.inside if inside_step else self.roots).append(value)
        self.count += 1

    def total(self) -> Any:
        """Loss of the update: what was accumulated before the step, plus the first evaluation inside it.

        A closure is called once by most optimisers and many times by L-BFGS; only its first call sees
        the point that the update starts from.
        """
        if self.count == 1:
            return self.roots[0] if self.roots else self.inside[0]
        values = [v for v in [*self.roots, *self.inside[:1]] if v is not None]
        return sum(values[1:], start=values[0]) if values else None
