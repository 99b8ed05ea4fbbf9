"""The fast path: an update that is like the one before it costs a few dozen bytecodes and no more.

Between two calls of ours a training step runs through megabytes of other code, so that ours is cold each time:
what counts is how many bytecodes are executed, not what they cost in a tight loop (about a tenth of it;
``benchmarks/overhead/bench_per_update.py``). Of an ordinary update only the loss is read here. All else (the
time, the learning rate, whether gradients were cleared) is looked at on the updates in between that take the
slow path, :class:`losscope.watching.watch.Watch`, and everything that is out of the ordinary leads there at
once: a second backward, a closure, another optimiser, a loss that is not one finite number. On an accelerator it is
copied on its device, and whether it was finite is seen when the copies are fetched.
"""

from typing import Any, Protocol

from torch import Tensor

from losscope.watching.step_frames import steps_under_way
from losscope.watching.streams import Stream, Streams
from losscope.watching.values import dispatch_modes, is_wrapped, number, tracing_state


class SlowPath(Protocol):
    """What an update goes through that is not ordinary."""

    gate: list[Any]
    streams: Streams

    def slow_backward(self, outputs: Any, args: Any, kwargs: Any) -> None: ...

    def slow_step_begins(self, optimizer: Any, args: Any, kwargs: Any) -> None: ...

    def slow_step_ended(self, optimizer: Any, args: Any, kwargs: Any) -> None: ...

    def left_fast_path(self, updates: int, read: int, loss: Any, *, used: bool) -> None: ...

    def caught(self, place: str, error: Exception) -> None: ...


class FastPath:
    """The hooks of a training step. ``enter`` lets ordinary updates pass, ``leave`` ends that."""

    __slots__ = (
        "_by_hand",
        "_gate",
        "_given",
        "_left",
        "_loss",
        "_running",
        "_slow",
        "_stream",
        "_streams",
        "_stride",
        "_until_read",
        "_used",
        "_was_read",
        "stepping",
    )

    def __init__(self, slow: SlowPath) -> None:
        self._slow, self._gate = slow, slow.gate
        self._streams = slow.streams.by_id
        self._running = False
        self.stepping = 0  # nested steps: wrappers such as SAM call their base optimiser
        self._loss: Any = None  # of the last backward that was read
        self._used = True  # some optimiser has stepped since that backward
        self._stream: Stream | None = None  # whose optimiser is stepping
        self._by_hand: Stream | None = None
        self._given = self._left = self._was_read = 0
        self._stride = self._until_read = 1

    def enter(self, updates: int, stride: int, loss: Any, by_hand: Stream | None = None) -> None:
        """So many updates may pass; of every ``stride`` the loss of one is read.

        ``loss`` is that of the last backward: another optimiser may be about to step on it. ``by_hand`` is the
        stream of a script without an optimiser, where each backward is one update and tells that of the last.
        """
        self._by_hand, self._used = by_hand, by_hand is None
        self._stream, self._loss = None, loss if stride == 1 or by_hand is not None else None
        self._given = self._left = updates
        self._was_read, self._stride, self._until_read = 0, stride, stride
        self._gate[0] = stride == 1 or by_hand is not None
        self._running = True

    @property
    def running(self) -> bool:
        """Whether ordinary updates pass at present."""
        return self._running

    def leave(self) -> None:
        """The update under way, and those to come, take the slow path."""
        if self._running:
            if self._by_hand is not None and self._loss is None:  # made of a backward that was not read
                self._by_hand.step += 1
                self._used = True
            self._running, self._stream, self._by_hand = False, None, None
            self._gate[0] = True
            self._slow.left_fast_path(self._given - self._left, self._was_read, self._loss, used=self._used)

    def before_backward(self, outputs: Any, args: Any, kwargs: Any) -> None:
        """Hook at the start of every pass of the autograd engine."""
        if self._running:
            try:
                if self._by_hand is not None:
                    if self._update_by_hand(self._by_hand, outputs, kwargs):
                        return
                elif self._used and not self.stepping and self._read(outputs, kwargs):
                    self._used = False
                    return
            except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
                self._slow.caught("backward", error)
            self.leave()
        self._slow.slow_backward(outputs, args, kwargs)

    def _read(self, outputs: Any, kwargs: Any) -> bool:
        """Read the loss if it is one number, and finite as far as can be seen at once."""
        if len(outputs) != 1:
            return False
        root = outputs[0]
        if (
            type(root) is Tensor
            and not root.ndim
            and not is_wrapped(root)
            and not dispatch_modes()
            and tracing_state() is None
            and kwargs.get("accumulate_grad")
            and not root.is_meta
        ):
            value = number(root)
            if type(value) is float and value - value != 0.0:
                return False
            if value is not None:
                self._loss = value
                self._was_read += 1
                return True
        return False

    def _update_by_hand(self, stream: Stream, outputs: Any, kwargs: Any) -> bool:
        """A backward begins: an update was made of the one before it."""
        if self._left <= 1 or not kwargs.get("accumulate_grad"):
            return False
        before, self._loss = self._loss, None
        self._until_read -= 1
        if self._until_read <= 0:
            if not self._read(outputs, kwargs):
                self._loss = before
                return False
            self._until_read = self._stride
        if before is not None:
            stream.write_loss(stream.step, before)
        stream.step += 1
        self._left -= 1
        return True

    def before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Global pre-hook of torch.optim."""
        self.stepping += 1
        if self.stepping > 1:
            if steps_under_way(2) > 1:
                return
            self.stepping = 1  # the step before this one failed and never ended
        if self._running:
            entry = self._streams.get(id(optimizer))
            plain = not kwargs and (len(args) == 1 or args[1] is None)  # no closure
            if plain and entry is not None and entry[0]() is optimizer:
                self._stream = entry[1]
                return
            self.leave()
        self._slow.slow_step_begins(optimizer, args, kwargs)

    def after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Global post-hook of torch.optim."""
        self.stepping = self.stepping - 1 if self.stepping > 1 else 0
        if self.stepping:
            return
        stream = self._stream
        if stream is None:
            self._slow.slow_step_ended(optimizer, args, kwargs)
            return
        self._stream = None
        if self._loss is not None:  # several optimisers may step on one backward
            stream.write_loss(stream.step, self._loss)
            self._used = True
            if self._stride > 1:
                self._loss, self._gate[0], self._until_read = None, False, self._stride
        stream.step += 1
        self._left -= 1
        self._until_read -= 1
        if not self._left:
            self.leave()
        elif not self._until_read:
            self._gate[0] = True
