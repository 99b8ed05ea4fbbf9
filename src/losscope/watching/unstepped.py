"""Optimisers that were made and never step, while gradients for their parameters are computed again and again."""

import weakref
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from losscope.core.finding import Where
from losscope.watching.naming import Names
from losscope.watching.outlet import Outlet
from losscope.watching.streams import Streams
from losscope.watching.tensor_trace import TensorTrace

_FIRST = 5  # backward passes until the first look; each look comes after twice as many
_TOLD = 20
_TRACED = 3  # parameters compared
_NAMED = 6
_MOST = 64  # optimisers that never stepped and are kept in mind


@dataclass(slots=True, eq=False)
class _Made:
    """An optimiser without a step so far."""

    optimizer: weakref.ref[Any]
    number: int
    site: Where | None
    name: str
    seen: int = 0  # backward passes since it was made
    cleared: int = 0  # of those, at how many the gradient of the one before had been thrown away
    due: int = _FIRST
    traces: list[TensorTrace] = field(default_factory=list)
    told: dict[str, Any] | None = None


class Unstepped:
    """Writes an ``unstepped`` event where parameters with a gradient stay as they are, look after look.

    Told from an analysis by the optimiser: it was made in this script and holds no state from an earlier run. An
    event with ``backwards`` 0 takes an earlier one of the same ``number`` back.
    """

    def __init__(self, outlet: Outlet, names: Names) -> None:
        self._outlet, self._names = outlet, names
        self._made: list[_Made] = []
        self._count = 0
        self.wanted = False  # a look is due at the end of this backward

    def made(self, optimizer: Any, site: Where | None) -> None:
        self._count += 1
        self._made = [m for m in self._made if m.told is not None or m.optimizer() is not None][-_MOST:]
        self._made.append(_Made(weakref.ref(optimizer), self._count, site, type(optimizer).__name__))

    def stepped(self, optimizer: Any) -> None:
        """It makes its first step."""
        for made in self._made:
            if made.optimizer() is optimizer and made.told is not None:
                self._outlet.event("unstepped", number=made.number, backwards=0)
        self._made = [m for m in self._made if m.optimizer() is not optimizer]

    def backward(self, *, cleared: bool) -> None:
        """A backward begins."""
        for made in self._made:
            made.seen += 1
            made.cleared += cleared
            self.wanted = self.wanted or made.seen >= made.due

    def backward_done(self, streams: Streams) -> None:
        """It has ended: the gradients are there."""
        if self.wanted:
            self.wanted = False
            for made in self._made:
                if made.seen >= made.due:
                    made.due = 2 * made.seen
                    self._look(made, streams)

    def finish(self) -> None:
        """The number of passes at the end."""
        for made in self._made:
            if made.told is not None:
                self._outlet.event(
                    "unstepped", **made.told | {"backwards": made.seen, "cleared": made.cleared}
                )

    def _look(self, made: _Made, streams: Streams) -> None:
        optimizer = made.optimizer()
        if optimizer is None or optimizer.state:
            made.traces = []
            return
        still = bool(made.traces) and all(t.unchanged(t.tensor) for t in made.traces)
        held = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        elsewhere = any(stream.holds(p) for stream in streams.all for p in held)
        made.traces = [TensorTrace(p, closely=True) for p in sorted(held, key=Tensor.numel)[:_TRACED]]
        if not still or not held or elsewhere:
            if made.told is not None:
                self._outlet.event("unstepped", number=made.number, backwards=0)
                made.told = None
            return
        if made.seen >= _TOLD:
            made.told = {
                "number": made.number,
                "backwards": made.seen,
                "cleared": made.cleared,
                "name": made.name,
                "updates": streams.last_step,
                "parameters": self._names.of(held)[:_NAMED],
                "where": None if made.site is None else {"file": made.site.file, "line": made.site.line},
            }
            self._outlet.event("unstepped", **made.told)
