"""Is a loss scale taken out again before the gradient is used? Judged by the gradient itself.

Right after the backward of a scaled loss a few elements of one gradient are copied. Where a step or a clipping
call comes, the same elements say by how much the gradient is still too large: S if nobody divided by the scale
S, 1 if somebody did, whether ``GradScaler`` or the user. On a GPU the ratio stays there until it is fetched.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.recording import signals
from losscope.watching.loss_scale import LossScale
from losscope.watching.outlet import Outlet
from losscope.watching.streams import Stream
from losscope.watching.values import in_capture
from losscope.watching.weak_tensors import TensorRef, weak

_LOOKS = 32  # updates that are looked at
_ELEMENTS = 64
_FIRST_SCALES, _EVERY = 64, 16  # scaled backwards at which a scale on an accelerator is recorded


@dataclass(slots=True, eq=False)
class _Scaled:
    """A few elements of a scaled gradient, and the scale in them."""

    parameter: TensorRef
    elements: Tensor
    factor: Any


class ScaleUse:
    """Writes LOSS_SCALE, and SCALE_LEFT: by how much the gradient still was too large, at steps and clipping calls."""

    def __init__(self, outlet: Outlet, scale: LossScale) -> None:
        self._outlet, self._scale = outlet, scale
        self._factor: Any = None
        self._noted: dict[str, _Scaled] = {}
        self._steps: dict[str, int] = {}
        self._looks = 0
        self._scaled, self._told = 0, 1.0

    @property
    def wanted(self) -> bool:
        """Whether the end of this backward is to be looked at."""
        return self._factor is not None and self._looks < _LOOKS * max(len(self._steps), 1)

    def backward(self, outputs: Iterable[Any]) -> None:
        """A backward of these roots begins."""
        self._factor = None
        if self._scale.used:
            factors = [self._scale.of(root) for root in outputs]
            self._factor = next((f for f in factors if isinstance(f, Tensor) or f != 1.0), None)
            self._tell(self._factor)

    def _tell(self, factor: Any) -> None:
        """The scale, where it has changed; one on an accelerator at some backwards, since it cannot be looked at."""
        now, self._scaled = self._scaled, self._scaled + (factor is not None)
        if isinstance(factor, Tensor):
            if now < _FIRST_SCALES or not now % _EVERY:
                self._outlet.record(signals.LOSS_SCALE, "0", now, factor.detach().clone())
        elif factor is not None and factor != self._told:
            self._told = factor
            self._outlet.record(signals.LOSS_SCALE, "0", now, float(factor))

    def backward_done(self, streams: Iterable[Stream]) -> None:
        """Its gradients are there."""
        if not self.wanted:
            return
        self._looks += 1
        for stream in streams:
            live = [p for ref in stream.parameters.values() if (p := ref()) is not None]
            having = [
                p for p in live if p.grad is not None and not p.grad.is_sparse and not in_capture(p.grad)
            ]
            if having:
                chosen = min(having, key=lambda p: abs(p.numel() - _ELEMENTS))
                self._noted[stream.label] = _Scaled(weak(chosen), _few(chosen.grad), self._factor)
                self._steps[stream.label] = stream.step

    def clipped(self, norm: Any, limit: Any) -> None:
        """Gradients were clipped: those that are noted have shrunk by limit / norm, if that is below 1."""
        for label, scaled in self._noted.items():
            left = _left(scaled)
            if left is not None:
                shrunk = torch.as_tensor(float(limit) / (norm + 1e-6)).clamp(max=1.0).to(left.device)
                self._outlet.record(signals.SCALE_LEFT, f"{label}/clip", self._steps[label], left / shrunk)

    def step_begins(self, stream: Stream, optimizer: Any) -> None:
        """An optimiser is about to use its gradient. Fused ones are given the scale and divide by themselves."""
        scaled = self._noted.pop(stream.label, None)
        if scaled is None:
            return
        left = None if getattr(optimizer, "grad_scale", None) is not None else _left(scaled)
        if left is not None:
            self._outlet.record(signals.SCALE_LEFT, f"{stream.label}/step", stream.step, left)


def _few(gradient: Tensor) -> Tensor:
    with torch.no_grad():
        return gradient.detach().flatten()[:_ELEMENTS].to(torch.float32, copy=True)


def _left(scaled: _Scaled) -> Tensor | None:
    """The factor that is still in the gradient: its size now, times the scale, over its size after the backward."""
    parameter = scaled.parameter()
    gradient = None if parameter is None else parameter.grad
    if gradient is None or gradient.is_sparse or gradient.device != scaled.elements.device:
        return None
    now = torch.linalg.vector_norm(_few(gradient))
    return now / torch.linalg.vector_norm(scaled.elements) * scaled.factor
