"""The hot path: what runs at every backward and every optimiser step of a watched script.

Every method called from a hook follows the same pattern: take the time, do the least that is needed,
book the time. A fault in it is recorded and switches the watch off; it never reaches the script.
"""

from functools import partial
from time import perf_counter
from typing import Any

from torch import Tensor

from losscope.losses.graph.trace import is_ours
from losscope.recording import signals
from losscope.watching.budget import Governor
from losscope.watching.clipping import Clipping
from losscope.watching.deep import DeepSampler
from losscope.watching.evaluation import Evaluations, mean_value
from losscope.watching.fast_path import FastPath
from losscope.watching.gradient_path import GradientPath
from losscope.watching.gradient_state import GradientState
from losscope.watching.graph_capture import GraphCapture
from losscope.watching.guard import guarded
from losscope.watching.loaders import Loaders
from losscope.watching.loss_scale import LossScale
from losscope.watching.manual_updates import ManualUpdates
from losscope.watching.modes import Modes
from losscope.watching.outlet import Outlet
from losscope.watching.roots import is_training_gradient
from losscope.watching.step_frames import steps_under_way
from losscope.watching.streams import Cycle, Stream, Streams
from losscope.watching.user_code import raised_by_signal_handler, user_frame, where
from losscope.watching.values import hidden, is_plain, scalar

_LEARN_UPDATES = 10  # with one backward each, after which clearing inside an update is not checked
_CLOSELY = 64  # first updates that are all looked at in full, whatever that costs
_PASSING = 32  # ordinary updates in a row whose loss alone is read


class Watch:
    """State of one watched process. Hooks call it; it writes to an :class:`Outlet`."""

    def __init__(self, outlet: Outlet, governor: Governor, deep: DeepSampler) -> None:
        self.outlet, self.governor, self.deep = outlet, governor, deep
        self.streams, self.cycle, self.loaders = Streams(), Cycle(), Loaders(outlet.event)
        self.evaluations = Evaluations(outlet.record, outlet.event, Modes(self.loaders, outlet.event))
        self.manual = ManualUpdates()
        self.off = False
        # Whether a backward needs a look; how many under way were looked at: checkpointing nests them.
        self.gate: list[Any] = [True, 0]
        self._in_step: Stream | None = None
        self._optimizer: Any = None
        self._by_hand = True  # no torch optimiser is known so far
        self._accumulates = False  # some backward of this script adds to .grad
        self._attend = False  # the end of this backward needs a look
        self._notice = False  # an evaluation or a data loader was seen since the last backward
        self._judge = False  # whether gradients were cleared is to be judged at the next backward
        self._turn = 0  # updates of any stream
        self._adapt_at = _CLOSELY
        self._passing = False  # ordinary updates may take the fast path
        self._judged = False  # whether gradients were cleared was judged at the start of this update
        self._single, self._nested = 0, False  # some backward ran inside another
        self._within, self._scale = GradientState(), LossScale()
        self.clipping = Clipping(self.streams, self._scale, outlet)
        self._capture = GraphCapture(outlet.event)
        self._path = GradientPath(outlet, self.deep.names, self._scale)
        self.fast, self.overwriting = FastPath(self), self._path.overwriting

    # --- backward ---------------------------------------------------------------------------------
    def slow_backward(self, outputs: Any, args: Any, kwargs: Any) -> None:
        """A pass of the autograd engine begins."""
        gate = self.gate
        gate[1] += 1
        if gate[1] > 1 or self.off:
            self._nested = self._nested or gate[1] > 1
            return
        began = perf_counter()
        try:
            hidden(self._backward, outputs, args, kwargs)
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self.caught("backward", error)
        self.governor.charge(perf_counter() - began, plain=not self.deep.active)

    def after_backward(self) -> None:
        """Hook at the end of every pass, also a failed one."""
        gate = self.gate
        gate[1] = gate[1] - 1 if gate[1] > 1 else 0
        if self._attend and gate[1] == 0:
            self._attend = False
            self._backward_done()

    def _backward(self, outputs: Any, args: Any, kwargs: Any) -> None:
        if not outputs or not self._is_training(outputs, args, kwargs) or not is_plain(root := outputs[0]):
            return
        if self._capture.holds(root):
            self._path.off = True
            return
        if self.fast.stepping and not steps_under_way():  # a step failed: nothing came of its backwards
            self._in_step, self.fast.stepping = None, 0
            self.cycle.begin()
        inside, cycle, deep = self._in_step is not None, self.cycle, self.deep
        if self._by_hand and not inside:
            self._commit_manual()
        if self._judge:
            self._judge_clearing()
        if self._notice:
            self._noticed()
        first = cycle.fresh
        if first and not inside:
            self._open_update()
        value = scalar(root)
        if self._scale.used or len(outputs) > 1:
            value = self._scale.total(outputs)
        cleared = not first and self._single < _LEARN_UPDATES and self._within.cleared() is True
        if not first:
            self._single = 0  # several backwards in an update: from here on each is looked at
            self.streams.cleared_within(cleared)
        cycle.add(value, inside_step=inside, cleared=cleared)
        self._path.backward(outputs, cleared=first or cleared)
        if self.outlet.non_finite or (type(value) is float and value - value != 0.0):
            deep.non_finite_loss(root, "0", self.streams.main_step)
        if deep.attentive:
            self._read_objective(outputs, inside, cleared)
        looked = self._by_hand or self._single < _LEARN_UPDATES or self._path.attends
        self._attend = looked or (inside and deep.attentive)

    def _read_objective(self, outputs: Any, inside: bool, cleared: bool) -> None:
        """The anatomy of the roots that :meth:`Cycle.total` adds up, and of no others."""
        if inside and (len(self.cycle.inside) > 1 or (cleared and self.cycle.roots)):
            return
        if cleared:
            self.deep.roots.clear()
        for output in outputs:
            self.deep.objective(output, self._scale.of(output))

    def _is_training(self, outputs: Any, args: Any, kwargs: Any) -> bool:
        if kwargs.get("accumulate_grad"):
            self._accumulates = True
            return True
        return not self._accumulates and is_training_gradient(outputs, args, kwargs)

    @guarded
    def _backward_done(self) -> None:
        if self._single < _LEARN_UPDATES:
            if self._within.empty:
                self._within.note(self.deep.parameters)
            else:
                self._within.renote()
        if self._in_step is None:
            self._path.backward_done(self.streams)
        if self._in_step is not None:
            if self.deep.attentive and len(self.cycle.inside) == 1:
                self.deep.gradients(self._in_step, self._optimizer)
        elif self._by_hand:
            self._manual_gradients()

    def _open_update(self) -> None:
        """The first backward of a new update is near: book the last one, decide whether to sample this one."""
        self._single += self.cycle.count == 1
        self.cycle.begin()
        self.deep.open()

    def _judge_clearing(self) -> None:
        """Are the gradients of the last update still there, to be added to?"""
        self._judge, self._judged = False, True
        for stream in self.streams.all:
            cleared = stream.gradients.cleared()
            stream.stale = None if cleared is None else not cleared

    def _noticed(self) -> None:
        """Training goes on after an evaluation, or a new pass over the data begins."""
        self._notice = False
        self.evaluations.close(step := self.streams.main_step)
        if self.loaders.claimed_by_training():
            self.outlet.record(signals.EPOCH, "", step, float(self.loaders.epoch))

    # --- updates by a torch optimiser -------------------------------------------------------------
    def slow_step_begins(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """An optimiser's step begins. Most pass through without any work."""
        if self.off or self._capture.lasts:
            return
        closure = bool(len(args) > 1 and args[1] is not None) or kwargs.get("closure") is not None
        stream = self.streams.known(optimizer)
        if stream is not None and not (closure or self.deep.active or self.deep.expecting):
            self._in_step = stream
            self._on_path(stream, optimizer)
        else:
            self._step_begins(optimizer, closure)

    def slow_step_ended(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """It has ended: an update of its stream is complete."""
        stream = self._in_step
        if stream is None or self.off:
            return
        self._in_step = self._optimizer = None
        began = perf_counter()
        try:
            hidden(self._step_ends, stream, optimizer, began)
        except Exception as error:  # noqa: BLE001  the promise: our faults never reach the script
            self.caught("step", error)
        self.governor.charge_update(perf_counter() - began, plain=not self.deep.active)

    @guarded
    def _on_path(self, stream: Stream, optimizer: Any) -> None:
        self._path.step_begins(stream, optimizer)

    @guarded
    def _step_begins(self, optimizer: Any, closure: bool) -> None:
        stream, new = self.streams.of(optimizer)
        if new:
            self._by_hand, self.manual.stream = False, None
            self.deep.joined(stream, optimizer)
            if stream.step == 0:
                self.governor.invite()
        self._in_step, self._optimizer = stream, optimizer
        self._path.step_begins(stream, optimizer, closure=closure, new=new)
        if closure and self.cycle.fresh:
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
        if self._passing or stream.step < _CLOSELY or not stream.step & 7:
            for label, rate in stream.changed_rates(optimizer):
                self.outlet.record(signals.LEARNING_RATE, label, stream.step, rate)
        self._commit(stream, now)
        self._path.step_ends(stream, optimizer)
        if self._pass_over():
            return
        if stream.gradients.empty:
            stream.gradients.note(p for group in optimizer.param_groups for p in group["params"])
        else:
            stream.gradients.renote()
        self._judge = True

    def _ordinary(self) -> bool:
        """Whether the update just made was of the kind that the fast path knows, and the next may be."""
        cycle, deep = self.cycle, self.deep
        return (
            cycle.count == 1
            and len(cycle.roots) == 1
            and cycle.roots[0] is not None
            and not self.outlet.non_finite
            and not (deep.active or deep.expecting or self._notice or self._nested)
            and not (self._scale.used or self._path.watchful)
            and deep.rests > 1
        )

    def _pass_over(self, by_hand: Stream | None = None) -> bool:
        """Let the next updates take the fast path, if they may."""
        if not (self._passing and self._judged and self._ordinary()):
            return False
        self._judged = False
        for stream in self.streams.all:  # judged now, out of date when it comes to its next look
            stream.stale = None
        stride, loss = self.governor.stride, self.cycle.roots[0]
        self.fast.enter(min(_PASSING, self.deep.rests) * stride, stride, loss, by_hand)
        return True

    def left_fast_path(self, updates: int, read: int, loss: Any, *, used: bool) -> None:
        """``updates`` took the fast path; ``loss`` is that of the last of ``read`` backwards, ``used`` or not."""
        self._turn += updates
        self._path.passed_over()
        self.governor.charge_fast(read)
        self.deep.rest(read if used else read - 1)
        self.streams.passed(self.governor.elapsed)
        if used:
            self.cycle.begin()
        else:
            self._open_update()
            self._within.forget()
        self.cycle.add(loss, inside_step=False, cleared=False)
        self.cycle.fresh = used

    def _commit(self, stream: Stream, now: float) -> None:
        """One update is complete: write what every update writes."""
        step, cycle = stream.step, self.cycle
        write_loss = stream.write_loss or stream.open(self.outlet.writer)
        total = cycle.total() if cycle.count else None
        if type(total) is float:
            write_loss(step, total)
        elif total is not None:
            stream.write_loss = partial(self.outlet.record, signals.LOSS, stream.label)
            stream.write_loss(step, total)
        stream.write(step, round(now - self.governor.began, 6))
        if cycle.count != 1:
            self.outlet.record(signals.BACKWARDS, stream.label, step, float(cycle.count))
        self.clipping.write(self.outlet.record, stream.label, step)
        cycle.fresh = True
        stream.step = step + 1
        self._turn += 1
        if self._turn >= self._adapt_at:
            self._adapt_at = self._turn + _CLOSELY
            if self.governor.adapt():
                self.outlet.event("thinned", stride=self.governor.stride, step=step)
            self._passing = self.governor.stride > 0

    # --- updates without a torch optimiser --------------------------------------------------------
    def _manual_gradients(self) -> None:
        """No torch optimiser exists: a change of the parameters before the next backward is an update."""
        if self.manual.stream is None:
            self.manual.stream = self.streams.manual()
        stream = self.manual.stream
        if self.deep.active and self.cycle.count == 1:
            self.deep.gradients(stream)
            self.deep.before_update(stream)
        elif self.deep.follows(stream):
            self.deep.following(stream)
        self.manual.note(lambda: self.deep.parameters)
        if stream.gradients.empty:
            stream.gradients.note(self.deep.parameters)
        else:
            stream.gradients.renote()
        self.deep.weaken()
        self._pass_over(by_hand=stream)

    def _commit_manual(self) -> None:
        stream = self.manual.stream
        if stream is None or not self.cycle.roots or self.cycle.fresh or not self.manual.moved():
            return
        if self.deep.active:
            self.deep.after_update(stream)
        self._commit(stream, perf_counter())
        self._judge = True

    # --- what else is seen ------------------------------------------------------------------------
    @guarded
    def scaled(self, result: Any, scaler: Any) -> None:
        """Hook behind GradScaler.scale."""
        if self._scale.note(result, scaler):
            self.fast.leave()

    @guarded
    def clipped(self, norm: Any, limit: Any) -> None:
        """Hook behind clip_grad_norm_: the norm that it found, and its limit."""
        self.clipping.note(norm, limit)
        self._path.clipped(norm, limit)

    @guarded
    def clips(self, parameters: Any) -> None:
        """Hook before gradients are clipped."""
        self.clipping.begins(parameters, known=not self.fast.running)

    @guarded
    def loss_computed(self, kind: str, result: Any, inputs: Any, reduction: Any) -> None:
        """Hook behind torch's loss functions: a value that no autograd graph hangs on is an evaluation."""
        if self.gate[1] or is_ours() or not isinstance(result, Tensor):
            return
        if result.requires_grad:
            self.deep.sites[kind] = where(user_frame())
            return
        value = mean_value(result, inputs, reduction)
        if value is not None:
            self._notice = True
            self.fast.leave()
            self.evaluations.add(kind, *value, self.loaders.claimed_by_evaluation())

    @guarded
    def loader_starts(self, loader: Any) -> None:
        """Hook behind DataLoader.__iter__."""
        self.loaders.starts(loader)
        self._notice = True
        self.fast.leave()

    @guarded
    def optimizer_made(self, optimizer: Any) -> None:
        """Hook behind Optimizer.__init__."""
        self._by_hand = False
        self.fast.leave()
        self.deep.made(optimizer)
        self._path.made(optimizer)

    # --- the end ----------------------------------------------------------------------------------
    @guarded
    def finish(self) -> None:
        """The script has ended: commit what is open."""
        self.fast.leave()
        if self.manual.stream is not None:
            self._commit_manual()
        self.deep.close()
        self._path.finish()
        for stream in self.streams.all:  # the stride passed over the last updates: their number stays exact
            if stream.unwritten is not None:
                self.outlet.record(signals.STEP_TIME, stream.label, stream.step - 1, stream.unwritten)
        self.evaluations.close(self.streams.main_step)
        self.outlet.drain()

    def caught(self, place: str, error: Exception) -> None:
        """Our own fault: write it down, watch no more, let training go on."""
        if raised_by_signal_handler(error):
            raise error  # of a signal handler of the user's (a time limit, say) while a hook of ours ran
        self.off = True
        self.fast.leave()
        self.outlet.event("fault", where=place, error=f"{type(error).__name__}: {error}")
