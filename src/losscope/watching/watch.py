"""The hot path: what runs at every backward and every optimiser step of a watched script.

Every method called from a hook follows the same pattern: take the time, do the least that is needed,
book the time. A fault in it is recorded and switches the watch off; it never reaches the script.
"""

import weakref
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any

from torch import Tensor

from losscope.recording import signals
from losscope.watching.budget import Governor
from losscope.watching.deep import DeepSampler
from losscope.watching.evaluation import Evaluations
from losscope.watching.gradient_state import GradientState
from losscope.watching.loaders import Loaders
from losscope.watching.manual_updates import ManualUpdates
from losscope.watching.outlet import Outlet
from losscope.watching.roots import is_training_root
from losscope.watching.streams import Cycle, Stream, Streams
from losscope.watching.user_code import user_frame, where
from losscope.watching.values import is_plain, scalar

_LEARN_CYCLES = 10  # updates with one backward each, after which clearing inside an update is not checked


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Book the time of a hook; a fault inside it is written down and ends the watch, nothing more."""

    @wraps(method)
    def hook(self: "Watch", *args: Any) -> None:
        if self.off:
            return
        began = perf_counter()
        try:
            method(self, *args)
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self.fault(method.__name__, error)
        self.governor.spent += perf_counter() - began

    return hook


class Watch:
    """State of one watched process. Hooks call it; it writes to an :class:`Outlet`."""

    def __init__(self, outlet: Outlet, governor: Governor, deep: DeepSampler) -> None:
        self.outlet, self.governor, self.deep = outlet, governor, deep
        self.streams, self.cycle, self.loaders = Streams(), Cycle(), Loaders()
        self.evaluations = Evaluations(outlet.record, outlet.event)
        self.manual = ManualUpdates()
        self.off = False
        self._accumulates = False  # some backward of this script adds to .grad
        self._depth = 0  # nested backwards: checkpointing runs one inside another
        self._stepping = 0  # nested steps: wrappers such as SAM call their base optimiser
        self._in_step: Stream | None = None
        self._optimizer: Any = None
        self._within = GradientState()
        self._attend = False  # whether the end of this backward needs a look
        self._single = 0
        self._scaled: tuple[weakref.ref[Tensor], float] | None = None
        self._clip: tuple[Any, float] | None = None

    # --- backward ---------------------------------------------------------------------------------
    def before_backward(self, outputs: Any, args: Any, kwargs: Any) -> None:
        """Hook at the start of every pass of the autograd engine."""
        self._depth += 1
        if self._depth == 1 and not self.off:
            began = perf_counter()
            try:
                self._backward(outputs, args, kwargs)
            except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
                self.fault("backward", error)
            self.governor.spent += perf_counter() - began

    def after_backward(self) -> None:
        """Hook at the end of every pass, also a failed one."""
        self._depth = max(0, self._depth - 1)
        if self._attend and self._depth == 0:
            self._attend = False
            self._backward_done()

    def _backward(self, outputs: Any, args: Any, kwargs: Any) -> None:
        if not is_training_root(outputs, args, kwargs, others_seen=self._accumulates) or not is_plain(
            outputs[0]
        ):
            return
        self._accumulates = self._accumulates or bool(kwargs.get("accumulate_grad"))
        inside, cycle, deep = self._in_step is not None, self.cycle, self.deep
        manual = self.manual.stream is not None or not (self.streams.all or deep.live_optimizers())
        if manual and not inside:
            self._commit_manual()
        first = cycle.stepped or not cycle.backwards
        if first:
            self._judge_clearing()
            if not inside:
                self._open_update()
        learning = self._single < _LEARN_CYCLES
        self._attend = learning or manual or (inside and deep.active)
        step = self._current_step()
        value = None
        if self.governor.stride == 1 or deep.active or step % self.governor.stride == 0:
            value = self._value(outputs)
        cycle.add(value, inside_step=inside, cleared=not first and self._within.cleared() is True)
        if self.evaluations.is_open:
            self.evaluations.close(step)
        if self.loaders.pending and self.loaders.claimed_by_training():
            self.outlet.record(signals.EPOCH, "", step, float(self.loaders.epoch))
        if self.outlet.non_finite or (type(value) is float and value - value != 0.0):
            deep.non_finite_loss(outputs[0], "0", step)
        if deep.active and (not inside or len(cycle.inside) == 1):
            for root in outputs:
                deep.objective(root, self._scale_of(root))

    @guarded
    def _backward_done(self) -> None:
        if self._single < _LEARN_CYCLES:
            if self._within.empty:
                self._within.note(self.deep.parameters)
            else:
                self._within.renote()
        if self._in_step is not None:
            if self.deep.active and len(self.cycle.inside) == 1:
                self.deep.gradients(self._in_step, self._optimizer)
        elif self.manual.stream is not None or not (self.streams.all or self.deep.live_optimizers()):
            self._manual_gradients()

    def _open_update(self) -> None:
        """The first backward of a new update is near: book the last one, decide whether to sample this one."""
        self._single += self.cycle.backwards == 1
        self.cycle.begin()
        self.deep.open()

    def _judge_clearing(self) -> None:
        """Are the gradients of the last update still there, to be added to?"""
        for stream in self.streams.all:
            cleared = stream.gradients.cleared()
            stream.stale = None if cleared is None else not cleared

    def _current_step(self) -> int:
        return self.streams.all[0].step if self.streams.all else 0

    def _value(self, outputs: Any) -> Any:
        total: Any = None
        for root in outputs:
            value = scalar(root)
            if value is not None:
                if self._scaled is not None:
                    value = value / self._scale_of(root)
                total = value if total is None else total + value
        return total

    def _scale_of(self, root: Any) -> float:
        return self._scaled[1] if self._scaled is not None and self._scaled[0]() is root else 1.0

    # --- updates by a torch optimiser -------------------------------------------------------------
    def before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Global pre-hook of torch.optim. Most steps pass through without any work."""
        self._stepping += 1
        if self._stepping > 1 or self.off:
            return
        closure = bool(len(args) > 1 and args[1] is not None) or kwargs.get("closure") is not None
        stream = self.streams.known(optimizer)
        if stream is None or closure or self.deep.active or self.deep.follows(stream):
            self._step_begins(optimizer, closure)
        else:
            self._in_step = stream

    def after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Global post-hook of torch.optim."""
        self._stepping = max(0, self._stepping - 1)
        stream = self._in_step
        if self._stepping or stream is None or self.off:
            return
        began = perf_counter()
        self._in_step = self._optimizer = None
        try:
            self._step_ends(stream, optimizer, began)
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self.fault("step", error)
        self.governor.spent += perf_counter() - began

    @guarded
    def _step_begins(self, optimizer: Any, closure: bool) -> None:
        stream, new = self.streams.of(optimizer)
        if new:
            self.manual.stream = None
            self.deep.joined(stream, optimizer)
        self._in_step, self._optimizer = stream, optimizer
        if closure and (self.cycle.stepped or not self.cycle.backwards):
            self._open_update()
        if self.deep.active:
            if not closure:
                self.deep.gradients(stream, optimizer, len(self.cycle.roots))
            self.deep.before_update(stream, optimizer)
        elif self.deep.follows(stream) and not closure:
            self.deep.following(stream, optimizer)

    def _step_ends(self, stream: Stream, optimizer: Any, now: float) -> None:
        if self.deep.active:
            self.deep.after_update(stream)
        rates = [group.get("lr") for group in optimizer.param_groups]
        if rates != stream.rates:
            self._rates(stream, rates)
        self._commit(stream, now)
        if stream.gradients.empty:
            stream.gradients.note(p for group in optimizer.param_groups for p in group["params"])
        else:
            stream.gradients.renote()

    def _commit(self, stream: Stream, now: float) -> None:
        """One update is complete: write what every update writes."""
        step, cycle = stream.step, self.cycle
        write = stream.writers or self._open_writers(stream)
        total = cycle.total()
        if type(total) is float:
            write[0](step, total)
            if total - total != 0.0:
                self.outlet.non_finite = True
        elif total is not None:
            self.outlet.record(signals.LOSS, stream.label, step, total)
        write[1](step, round(now - self.governor.began, 6))
        if stream.stale is not None:
            write[2](step, float(stream.stale))
            stream.stale = None
        if cycle.backwards != 1:
            self.outlet.record(signals.BACKWARDS, stream.label, step, float(cycle.backwards))
        if self._clip is not None:
            self.outlet.record(signals.CLIP_NORM, stream.label, step, self._clip[0])
            self.outlet.record(signals.CLIP_LIMIT, stream.label, step, self._clip[1])
            self._clip = None
        cycle.stepped = True
        stream.step = step + 1
        if not step & 63 and self.governor.adapt(step):
            self.outlet.event("thinned", stride=self.governor.stride, step=step)

    def _open_writers(self, stream: Stream) -> tuple[Callable[[int, float], None], ...]:
        every_step = (signals.LOSS, signals.STEP_TIME, signals.STALE_GRADIENT)
        stream.writers = tuple(self.outlet.writer(signal, stream.label) for signal in every_step)
        return stream.writers

    def _rates(self, stream: Stream, rates: list[Any]) -> None:
        for index, rate in enumerate(rates):
            if isinstance(rate, int | float):
                self.outlet.record(signals.LEARNING_RATE, f"{stream.label}/{index}", stream.step, float(rate))
        stream.rates = rates

    # --- updates without a torch optimiser --------------------------------------------------------
    def _manual_gradients(self) -> None:
        """No torch optimiser exists: a change of the parameters before the next backward is an update."""
        if self.manual.stream is None:
            self.manual.stream = self.streams.manual()
        stream = self.manual.stream
        if self.deep.active and self.cycle.backwards == 1:
            self.deep.gradients(stream)
            self.deep.before_update(stream)
        elif self.deep.follows(stream):
            self.deep.following(stream)
        self.manual.note(lambda: self.deep.parameters)

    def _commit_manual(self) -> None:
        stream = self.manual.stream
        if stream is None or not self.cycle.roots or self.cycle.stepped or not self.manual.moved():
            return
        if self.deep.active:
            self.deep.after_update(stream)
        self._commit(stream, perf_counter())
        stream.gradients.note(self.deep.parameters)

    # --- what else is seen ------------------------------------------------------------------------
    @guarded
    def scaled(self, result: Any, scaler: Any) -> None:
        """Hook behind GradScaler.scale: its factor must not appear in the loss."""
        if isinstance(result, Tensor) and result.numel() == 1 and scaler.is_enabled():
            self._scaled = (weakref.ref(result), float(scaler.get_scale()))

    @guarded
    def clipped(self, norm: Any, limit: Any) -> None:
        """Hook behind clip_grad_norm_: the norm that it found, and its limit."""
        if is_plain(norm):
            self._clip = (norm.item() if norm.is_cpu else norm.detach().clone(), float(limit))

    @guarded
    def loss_computed(self, kind: str, result: Any, inputs: Any, reduction: Any) -> None:
        """Hook behind torch's loss functions: a value that no autograd graph hangs on is an evaluation."""
        if self._depth or not isinstance(result, Tensor):
            return
        if result.requires_grad:
            self.deep.sites[kind] = where(user_frame())
            return
        if not is_plain(result):
            return
        if not result.numel() or not result.is_floating_point():
            return
        count = int(inputs.shape[0]) if isinstance(inputs, Tensor) and inputs.ndim else 1
        mean = result.detach().mean() if result.numel() > 1 else result.detach().reshape(())
        value: Any = mean.item() if mean.is_cpu else mean.clone()
        value = value / count if reduction == "sum" else value
        self.evaluations.add(kind, value, count, self.loaders.claimed_by_evaluation())

    @guarded
    def loader_starts(self, loader: Any) -> None:
        """Hook behind DataLoader.__iter__."""
        self.loaders.starts(loader)

    @guarded
    def optimizer_made(self, optimizer: Any) -> None:
        """Hook behind Optimizer.__init__."""
        self.deep.made(optimizer)

    # --- the end ----------------------------------------------------------------------------------
    @guarded
    def finish(self) -> None:
        """The script has ended: commit what is open."""
        if self.manual.stream is not None:
            self._commit_manual()
        self.deep.close()
        self.evaluations.close(self._current_step())
        self.outlet.drain()

    def last_step(self) -> int:
        """The largest step index of any stream."""
        return max((stream.step for stream in self.streams.all), default=0)

    def fault(self, place: str, error: Exception) -> None:
        """Our own fault: write it down, watch no more, let training go on."""
        self.off = True
        self.outlet.event("fault", where=place, error=f"{type(error).__name__}: {error}")
