"""A kept window of training made again on copies, proved first: the same losses, the same gradients.

The updates of the window are made again from the kept parameters, optimiser state and random states. Each loss, and of
each gradient the norm and the product with its parameter, must be those that were seen, to rounding. Whether
gradients were cleared between updates, and whether they were clipped, is found in the same way: what reproduces the run
is what happened. The part of the window that is reproduced is what trials work with; where that is less than four
updates, the run is not replayable. Cost: one forward and one backward pass per update and hypothesis.
"""

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from losscope.core.errors import LosscopeError
from losscope.core.text import Message, Text
from losscope.objective.batches import Batch
from losscope.objective.evaluation import Whole
from losscope.objective.randomness import fixed_randomness
from losscope.objective.rebuild.program import generators
from losscope.objective.rebuild.rebuild import compared, constant_of, taken_apart, tolerance_of
from losscope.objective.rebuild.refusal import NotRebuildable
from losscope.objective.rebuild.update import gradient_figures
from losscope.objective.rebuild.window import KeptWindow
from losscope.trials.optimiser import ReplayedOptimizer
from losscope.trials.training import Mode, added, times
from losscope.trials.untouched import nothing_written

LEAST = 4  # updates that must be reproduced
SLACK = 1.0  # second by which one update may exceed the limit
_PASSES = 3  # forward and backward, in forward passes
_FRESH = 1000  # where the seeds of evaluations begin

_VALUE = Text(
    en="made again, update {step} has the loss {found:.6g} where {seen:.6g} was seen",
    zh="重放时第 {step} 次更新的损失为 {found:.6g}，而实际为 {seen:.6g}",
)
_GRADIENT = Text(
    en="made again, update {step} has a gradient that differs from the one used by {error:.1%}",
    zh="重放时第 {step} 次更新的梯度与实际使用的相差 {error:.1%}",
)
_SCALES = Text(
    en="the gradients were scaled by factors that follow no rule",
    zh="梯度被无规律的系数缩放",
)
_RAISED = Text(en="made again, an update raised {error}", zh="重放某次更新时出错：{error}")
_TIME = Text(en="there was no time to make the updates again", zh="没有足够的时间重放更新")


class OutOfTime(Exception):
    """The time for trials is over."""


class Replay:
    """``proved`` updates of the window can be made again; ``cleared`` and ``limit`` are what was found about them.

    Raises ``NotRebuildable`` where they cannot; ``OutOfTime`` at ``deadline`` (``time.perf_counter``).
    """

    def __init__(self, window: KeptWindow, deadline: float = math.inf) -> None:
        self.window, self.deadline = window, deadline
        first = window.updates[0]
        assert window.optimizer is not None
        try:
            with nothing_written():
                model, loss, batch_of, penalty = taken_apart(first)
            self.whole = Whole(model, loss, penalty)
            self._repeats = len(first.roots)
            self.batches = [[batch_of(u, i) for i in range(self._repeats)] for u in window.updates]
        except (NotRebuildable, LosscopeError):
            raise
        except Exception as error:
            raise _raised(error) from error
        self.parameters: list[nn.Parameter] = first.parameters
        self._tensors = [*self.whole.parameters(), *self.whole.buffers()]
        known = {id(t) for t in self._tensors}
        self._tensors += [p for p in self.parameters if id(p) not in known]
        self._start = [t.detach().clone() for t in self._tensors]
        self.seconds = 0.0  # of one update
        self._look = max(sum(call.seconds for call in update.calls) for update in window.updates)
        self.stale: list[Tensor | None] = []
        self.proved, self.cleared, self.limit, self.scale = 0, True, math.inf, 1.0
        self._prove()

    # --- where it stands --------------------------------------------------------------------------
    def restore(self) -> None:
        """The parameters and buffers of before the window."""
        with torch.no_grad():
            for tensor, value in zip(self._tensors, self._start, strict=True):
                tensor.copy_(value)

    def theta(self) -> Tensor:
        """The trained parameters as one vector, a copy."""
        with torch.no_grad():
            return torch.cat([p.detach().reshape(-1).double() for p in self.parameters])

    def afresh(self, seed: int) -> bool:
        """New initial parameters, drawn as the model's own modules draw them; whether all modules can."""
        owners = [m for m in self.whole.modules() if m._parameters]
        resets = [
            getattr(m, "reset_parameters", None) or getattr(m, "_reset_parameters", None) for m in owners
        ]
        if not all(callable(reset) for reset in resets):
            return False
        with nothing_written(), fixed_randomness(seed), torch.no_grad():
            for reset in resets:
                assert callable(reset)
                reset()
        return True

    def values(self, mode: Mode = nullcontext, places: Sequence[int] | None = None) -> list[float]:
        """The loss of batches of the proved updates where the parameters stand now, with fixed randomness."""
        with torch.no_grad():
            before = [b.clone() for b in self.whole.buffers()]
            found = []
            for place in range(self.proved) if places is None else places:
                self._check()
                with nothing_written(), fixed_randomness(_FRESH + place), mode():
                    found.append(float(self._loss(self.batches[place])))
            for buffer, value in zip(self.whole.buffers(), before, strict=True):
                buffer.copy_(value)
        return found

    def alike(self, one: Sequence[float], other: Sequence[float]) -> bool:
        """Whether losses agree up to the rounding of a replay."""
        tolerance = tolerance_of(self.parameters)
        return all(abs(a - b) <= tolerance * max(abs(a), abs(b)) for a, b in zip(one, other, strict=True))

    # --- one update -------------------------------------------------------------------------------
    def gradient(
        self,
        batches: Sequence[Batch],
        state: Any,
        seed: int,
        mode: Mode = nullcontext,
        parameters: Sequence[Tensor] | None = None,
    ) -> tuple[float, list[Tensor | None]]:
        """Loss and gradient of one update, drawn from a kept random state or from a seed."""
        self._check(_PASSES)
        drawn = generators(state) if state is not None else fixed_randomness(seed)
        with nothing_written(), drawn, mode(), torch.enable_grad():
            loss = self._loss(batches)
            found = torch.autograd.grad(loss, list(parameters or self.parameters), allow_unused=True)
        return float(loss.detach()), list(found)

    def _loss(self, batches: Sequence[Batch]) -> Tensor:
        """That of one update: the backward passes of an accumulated one add up."""
        losses = [self.whole("loss", batch).reshape(()) / self._repeats for batch in batches]
        if self.whole.penalty is not None:
            losses.append(self.whole("penalty", None).reshape(()))
        return torch.stack(losses).sum()

    def scaled(
        self, gradients: Sequence[Tensor | None], limit: float | None = None, scale: float | None = None
    ) -> list[Tensor | None]:
        """The gradients clipped, or scaled, as those of the run were unless something else is given."""
        limit, factor = self.limit if limit is None else limit, self.scale if scale is None else scale
        if math.isfinite(limit):
            norm = math.sqrt(sum(float(g.square().sum()) for g in gradients if g is not None))
            factor *= min(1.0, limit / (norm + 1e-6))
        return times(gradients, factor)

    def _check(self, passes: int = 1) -> None:
        if time.perf_counter() + passes * self._look > self.deadline + SLACK:
            raise OutOfTime

    # --- fidelity ---------------------------------------------------------------------------------
    def _prove(self) -> None:
        """Find out what reproduces the window, and how much of it."""
        best: tuple[int, Message] = (-1, _SCALES())
        chosen = True, math.inf, 1.0
        for cleared in (True, False):
            self.cleared, began = cleared, time.perf_counter()
            try:
                found = self._reproduced()
            except OutOfTime:
                raise NotRebuildable(_TIME()) from None
            except (NotRebuildable, LosscopeError):
                raise
            except Exception as error:
                raise _raised(error) from error
            finally:
                self.restore()
            self.seconds = (time.perf_counter() - began) / min(found[0] + 1, len(self.window.updates))
            if found[0] > best[0]:
                best, chosen = found, (cleared, self.limit, self.scale)
            if found[0] == len(self.window.updates):
                break
        self.proved, (self.cleared, self.limit, self.scale) = best[0], chosen
        if self.proved < LEAST:
            raise NotRebuildable(best[1])

    def _reproduced(self) -> tuple[int, Message]:
        """How many updates are, and why no more. Leaves the factor or limit of the gradients in place."""
        window, factors, norms = self.window, [], []
        assert window.optimizer is not None
        self.limit, self.scale = math.inf, 1.0
        optimizer = ReplayedOptimizer(window.optimizer, self.parameters, window.steps[0])
        total: list[Tensor | None] = []
        count, why = 0, None
        tolerance = tolerance_of(self.parameters)
        for number, update in enumerate(window.updates):
            state = update.calls[0].random
            value, gradients = self.gradient(self.batches[number], state, 0)
            if not number:
                self.stale = [_minus(b, g) for b, g in zip(window.before, gradients, strict=True)]
                total = list(self.stale)
            total = gradients if self.cleared else added(total, gradients)
            why, factor = self._differs(number, value, total, tolerance)
            if why is not None:
                break
            seen = math.sqrt(math.fsum(norm * norm for norm, _ in update.gradient))
            factors.append(factor)
            norms.append(seen)
            total = times(total, factor)
            optimizer.step(total, window.steps[number])
            count += 1
        count = self._scaling(factors, norms, count)
        return count, why or _SCALES()

    def _differs(
        self, number: int, value: float, gradients: Sequence[Tensor | None], tolerance: float
    ) -> tuple[Message | None, float]:
        """Whether an update is another than the one seen, and by what its gradient was multiplied."""
        update = self.window.updates[number]
        seen = math.fsum(root.value for root in update.roots)
        found = value + sum(constant_of(root) for root in update.roots)
        if any(call.autocast for call in update.calls):
            tolerance = max(tolerance, 0.02)
        if not abs(found - seen) <= tolerance * max(abs(seen), abs(value)):
            return _VALUE(step=update.step, found=found, seen=seen), 1.0
        figures = gradient_figures(zip(self.parameters, gradients, strict=True))
        sizes = [float(p.detach().norm()) for p in self.parameters]
        factor, error = compared(figures, update.gradient, sizes)
        if not error <= 30 * tolerance:
            return _GRADIENT(step=update.step, error=error), 1.0
        return None, factor

    def _scaling(self, factors: Sequence[float], norms: Sequence[float], count: int) -> int:
        """The rule behind the factors: none, clipping to a norm, or a constant. 0 where there is none."""
        scaled = [norm for factor, norm in zip(factors, norms, strict=True) if factor < 1 - 1e-3]
        if all(abs(factor - 1) <= 1e-3 for factor in factors):
            return count
        if scaled and max(factors) <= 1 + 1e-3 and max(scaled) - min(scaled) <= 1e-3 * max(scaled):
            self.limit = max(scaled)
            return count
        if max(factors) - min(factors) <= 1e-3 * abs(factors[0]):
            self.scale = factors[0]
            return count
        return 0


def _raised(error: Exception) -> NotRebuildable:
    return NotRebuildable(_RAISED(error=f"{type(error).__name__}: {error}"))


def _minus(total: Tensor | None, own: Tensor | None) -> Tensor | None:
    return total if total is None or own is None else total - own
