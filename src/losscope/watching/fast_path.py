"""The fast path: an update that is like the one before it costs a few dozen bytecodes and no more.

Between two calls of ours a training step runs through megabytes of other code, so that ours is cold each time:
what counts is how many bytecodes are executed, not what they cost in a tight loop (about a tenth of it;
``benchmarks/overhead/bench_per_update.py``). Of an ordinary update only the loss is read here. All else (the
time, the learning rate, whether gradients were cleared) is looked at on the updates in between that take the
slow path, :class:`losscope.watching.watch.Watch`, and everything that is out of the ordinary leads there at
once: a second backward, a closure, another optimiser, a loss that is not one finite number on the CPU.
"""

import weakref
from typing import Any, Protocol

from torch import Tensor

from losscope.watching.streams import Stream
from losscope.watching.values import is_wrapped, tracing_state


class SlowPath(Protocol):
    """What an update goes through that is not ordinary."""

    gate: list[Any]

    def slow_backward(self, outputs: Any, args: Any, kwargs: Any) -> None: ...

    def slow_step_begins(self, optimizer: Any, args: Any, kwargs: Any) -> None: ...

    def slow_step_ended(self, optimizer: Any, args: Any, kwargs: Any) -> None: ...

    def left_fast_path(self, updates: int, read: int, loss: float | None, *, used: bool) -> None: ...

    def caught(self, place: str, error: Exception) -> None: ...


class FastPath:
    """The hooks of a training step. ``enter`` lets ordinary updates pass, ``leave`` ends that.

    The hooks are closures: their state lies in cells, which cost half the bytecodes of attributes.
    """

    def __init__(self, slow: SlowPath) -> None:  # noqa: C901, PLR0915  closures over one state
        gate, slow_backward = slow.gate, slow.slow_backward
        slow_step_begins, slow_step_ended = slow.slow_step_begins, slow.slow_step_ended
        streams: dict[int, tuple[weakref.ref[Any], Stream]] = {}
        running = False
        stepping = 0  # nested steps: wrappers such as SAM call their base optimiser
        loss: float | None = None  # of the last backward that was read
        used = True  # some optimiser has stepped since that backward
        stream: Stream | None = None
        given = left = read = 0
        stride = until_read = 1

        def before_backward(outputs: Any, args: Any, kwargs: Any) -> None:
            """Hook at the start of every pass of the autograd engine."""
            nonlocal loss, used, read
            if running:
                try:
                    root = outputs[0]
                    if (
                        used
                        and type(root) is Tensor
                        and root.is_cpu
                        and not root.ndim
                        and len(outputs) == 1
                        and not stepping
                        and not is_wrapped(root)
                        and tracing_state() is None
                        and kwargs.get("accumulate_grad")
                    ):
                        value = root.item()
                        if value - value == 0.0:
                            loss = value  # pyright: ignore[reportAssignmentType]  real: autograd made it
                            used = False
                            read += 1
                            return
                except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
                    slow.caught("backward", error)
                leave()
            slow_backward(outputs, args, kwargs)

        def before_step(optimizer: Any, args: Any, kwargs: Any) -> None:
            """Global pre-hook of torch.optim."""
            nonlocal stepping, stream
            stepping += 1
            if stepping > 1:
                return
            if running:
                entry = streams.get(id(optimizer))
                if entry is not None and len(args) == 1 and not kwargs and entry[0]() is optimizer:
                    stream = entry[1]
                    return
                leave()
            slow_step_begins(optimizer, args, kwargs)

        def after_step(optimizer: Any, args: Any, kwargs: Any) -> None:
            """Global post-hook of torch.optim."""
            nonlocal stepping, loss, used, left, until_read
            stepping = stepping - 1 if stepping > 1 else 0
            if stepping:
                return
            if not running or stream is None:
                slow_step_ended(optimizer, args, kwargs)
                return
            if loss is not None:  # several optimisers may step on one backward
                stream.write_loss(stream.step, loss)
                used = True
                if stride > 1:
                    loss, gate[0], until_read = None, False, stride
            stream.step += 1
            left -= 1
            until_read -= 1
            if not left:
                leave()
            elif not until_read:
                gate[0] = True

        def enter(updates: int, every: int) -> None:
            nonlocal running, given, left, read, stride, until_read, stream, loss, used
            stream, loss, used = None, None, True
            given = left = updates
            read, stride, until_read = 0, every, every
            gate[0] = every == 1
            running = True

        def leave() -> None:
            nonlocal running, stream
            if running:
                running, stream = False, None
                gate[0] = True
                slow.left_fast_path(given - left, read, loss, used=used)

        def knows(optimizer: Any, its: Stream) -> None:
            streams[id(optimizer)] = (weakref.ref(optimizer), its)

        self.before_backward, self.before_step, self.after_step = before_backward, before_step, after_step
        self.enter, self.leave, self.knows = enter, leave, knows
