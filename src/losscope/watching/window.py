"""Keeps a few consecutive updates, so that trials can make them again when the script has ended.

The model is copied once, before the first of them, with the optimiser and its state; of the others the inputs, random
states, losses and figures of the gradient. A window begins after a deep sample, at steps that grow fourfold; the first
and the last that were completed are kept. It ends early where what it costs exceeds a part of the watch's budget.
See docs/decisions/0011.
"""

from time import perf_counter
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from losscope.core.errors import NotReadable
from losscope.core.text import Message, Text
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.replica import bytes_of
from losscope.objective.rebuild.update import KeptUpdate, Root, gradient_figures
from losscope.objective.rebuild.window import KeptWindow, kept_optimizer, kept_step
from losscope.watching.kept_roots import kept_root
from losscope.watching.outer_calls import OuterCalls, free_bytes
from losscope.watching.weak_tensors import TensorRef, weak

LEAST, _MOST = 4, 16  # updates of a window
_GROWTH = 4  # of the step, from one window to the next
_SHARE = 0.3  # of the watch's budget may go into windows
_CREDIT = 1.5  # seconds of a run whose budget is lent, as for samples

_AT_ONCE, _MEMORY = 3, 0.15  # windows: the first, the last, the one under way; of the memory that is free

_BIG = Text(
    en="model, optimiser state and gradients three times are {size:.2g} GB, and {free:.2g} GB of memory were free",
    zh="模型、优化器状态和梯度的三倍为 {size:.2g} GB，而可用内存为 {free:.2g} GB",
)
_FAULT = Text(en="a fault of losscope: {error}", zh="losscope 自身的错误：{error}")
_BY_HAND = Text(en="the parameters are updated without a torch optimiser", zh="参数不是由 torch 优化器更新的")
_NO_GRADIENT = Text(
    en="the gradient was not in .grad when the parameters changed", zh="参数改变时梯度不在 .grad 中"
)
_SPARSE = Text(en="a gradient is sparse", zh="有稀疏梯度")


class Window:
    """``found`` are the windows that were completed: the first, and the last. ``why`` is the last refusal."""

    def __init__(self) -> None:
        self.wanted = False
        self.found: list[KeptWindow] = []
        self.why: Message | None = None
        self._open: KeptWindow | None = None
        self._calls: OuterCalls | None = None
        self._first: OuterCalls | None = None
        self._roots: list[Root] = []
        self._for: tuple[str, int] = ("", -1)
        self._next = 0
        self._pairs: list[tuple[TensorRef, Tensor]] = []
        self._optimizer: Any = None
        self._spent = 0.0
        self._room = 0.0

    @property
    def armed(self) -> bool:
        """Whether the update under way, or the next one, is to be kept."""
        return self._calls is not None

    def due(self, step: int) -> bool:
        """Whether a window is to begin at ``step``."""
        return self.wanted and self._calls is None and step >= self._next

    def begin(self, stream: str, step: int, budget: float, elapsed: float) -> None:
        """Update ``step`` of a stream is the first of a window; ``budget`` is the share that the watch may cost."""
        self._next = _GROWTH * step + 1
        self._room = _SHARE * budget * (elapsed + _CREDIT)
        self._for, self._open = (stream, step), KeptWindow()
        self._arm(None)

    def _arm(self, first: OuterCalls | None) -> None:
        self._calls, self._roots = OuterCalls(first), []
        self._calls.install()

    def opens(self) -> None:
        """A new update begins while the last one was never completed."""
        if self._calls is not None and self._roots:
            self.end()

    def root(self, root: Tensor, scale: float, frame: FrameType | None) -> None:
        """A backward begins at ``root``."""
        calls = self._calls
        if calls is None:
            return
        try:
            self._roots.append(kept_root(calls, root, scale, frame))
        except NotReadable:
            self.end()
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self._refuse(error)

    def finish(self, stream: str, step: int, optimizer: Any) -> None:
        """The gradient of update ``step`` stands in ``.grad``."""
        calls, window = self._calls, self._open
        if calls is None or window is None:
            return
        began = perf_counter()
        try:
            if calls.failed is not None:
                raise calls.failed
            if (stream, step) != self._for or not self._roots or not calls.calls:
                self.end()
                return
            if optimizer is None:
                raise NotRebuildable(_BY_HAND())
            update = KeptUpdate(stream, step, [], list(calls.calls), list(self._roots))
            if not window.updates:
                self._start(window, update, calls, optimizer)
            elif update.form != window.updates[0].form:
                self.end()
                return
            self._add(window, update, optimizer)
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self._refuse(error)
            return
        calls.remove()
        self._spent += perf_counter() - began
        self._for = (stream, step + 1)
        first = self._first or calls
        first.bytes, self._first = calls.bytes, first
        full = len(window.updates) >= _MOST
        if full or (len(window.updates) >= LEAST and self._spent > self._room):
            self.end()
        else:
            self._arm(self._first)

    def _start(self, window: KeptWindow, update: KeptUpdate, calls: OuterCalls, optimizer: Any) -> None:
        """The first update has the modules, the optimiser, and the gradients as they stand."""
        update.parts = calls.parts
        trained = [(p, c) for p, c in calls.replica.pairs if isinstance(c, nn.Parameter) and c.requires_grad]
        gradients = [p.grad for p, _ in trained]
        if all(g is None for g in gradients):
            raise NotRebuildable(_NO_GRADIENT())
        if any(g is not None and g.is_sparse for g in gradients):
            raise NotRebuildable(_SPARSE())
        update.parameters = [c for _, c in trained if isinstance(c, nn.Parameter)]
        window.optimizer = kept_optimizer(optimizer, {id(p): i for i, (p, _) in enumerate(trained)})
        window.before = [None if g is None else g.detach().clone() for g in gradients]
        self._fits(calls, window)
        self._pairs = [(weak(p), c) for p, c in trained]
        self._optimizer = optimizer
        calls.replica.release()

    @staticmethod
    def _fits(calls: OuterCalls, window: KeptWindow) -> None:
        """Raises ``NotRebuildable`` where as many windows as there may be at once take much of the memory."""
        assert window.optimizer is not None
        state = [
            v for found in window.optimizer.state.values() for v in found.values() if isinstance(v, Tensor)
        ]
        held = [*state, *(g for g in window.before if g is not None)]
        size = sum(bytes_of(p) for p in calls.parts) + sum(t.numel() * t.element_size() for t in held)
        free = min((free_bytes(p) for p in calls.parts), default=0)
        if _AT_ONCE * size > _MEMORY * free:
            raise NotRebuildable(_BIG(size=_AT_ONCE * size / 1e9, free=free / 1e9))

    def _add(self, window: KeptWindow, update: KeptUpdate, optimizer: Any) -> None:
        pairs = [(copy, ref()) for ref, copy in self._pairs]
        if any(p is None for _, p in pairs):
            raise NotRebuildable(_NO_GRADIENT())
        with torch.no_grad():
            update.gradient = gradient_figures([(p, p.grad) for _, p in pairs])
        window.steps.append(kept_step(optimizer, renewed=optimizer is not self._optimizer))
        window.updates.append(update)
        self._optimizer = optimizer

    def end(self) -> None:
        """The window is closed; what it has is kept where that is enough."""
        window = self._open
        self._drop()
        if window is not None and len(window.updates) >= LEAST:
            self.found = [*self.found[:1], window]

    def _refuse(self, error: Exception) -> None:
        found = error.why if isinstance(error, NotRebuildable) else None
        self.why = found or _FAULT(error=f"{type(error).__name__}: {error}")
        self.end()

    def _drop(self) -> None:
        if self._calls is not None:
            self._calls.remove()
            self._calls.replica.release()
        self._calls = self._first = self._open = self._optimizer = None
        self._roots, self._pairs = [], []

    def take_seconds(self) -> float:
        """Seconds that the hooks took since this was last asked."""
        if self._calls is None:
            return 0.0
        seconds, self._calls.seconds = self._calls.seconds, 0.0
        self._spent += seconds
        return seconds
