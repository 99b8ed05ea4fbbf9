"""Validation losses: values of torch's loss functions computed without autograd, in passes.

A *pass* is a run of such values with no training backward in between and from the same place in the
user's code. Its mean is weighted by the number of targets. Passes over the training loader itself are
told apart from passes over other data.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from losscope.recording import signals
from losscope.watching.modes import RAN, Modes
from losscope.watching.user_code import call_path, user_frame, where
from losscope.watching.values import in_capture, is_plain

Emit = Callable[[Any, str, int, Any], None]


def mean_value(result: Tensor, inputs: Any, reduction: Any) -> tuple[Any, int] | None:
    """What a loss function returned, as a mean over ``inputs`` samples, and their number; None for no number."""
    if not is_plain(result) or not result.numel() or not result.is_floating_point() or in_capture(result):
        return None
    count = int(inputs.shape[0]) if isinstance(inputs, Tensor) and inputs.ndim else 1
    mean = result.detach().mean() if result.numel() > 1 else result.detach().reshape(())
    value = mean.item() if mean.is_cpu else mean.clone()
    return (value / count if reduction == "sum" else value), count


@dataclass(slots=True)
class _Pass:
    label: str
    total: Any = 0.0
    count: int = 0
    batches: int = 0
    bits: int = 0


@dataclass(slots=True)
class Evaluations:
    """Groups evaluation losses into passes and emits one mean per pass."""

    emit: Emit
    event: Callable[..., None]
    modes: Modes
    _labels: dict[tuple[Any, ...], str] = field(default_factory=dict)
    _open: dict[tuple[Any, ...], _Pass] = field(default_factory=dict)

    def add(self, kind: str, mean: float | Tensor, count: int, loader: str) -> None:
        """One loss value, the mean over ``count`` targets."""
        key = (kind, loader, *call_path())
        open_pass = self._open.get(key)
        if open_pass is None:
            open_pass = self._open[key] = _Pass(self._label(key, kind, loader))
        open_pass.total = open_pass.total + mean * count
        open_pass.count += count
        # What ran before the first value may belong to the training before it, where more follow.
        bits = self.modes.take()
        open_pass.bits = bits if open_pass.batches < 2 else open_pass.bits | bits
        open_pass.batches += 1

    def close(self, step: int) -> None:
        """The passes have ended: training goes on, or the run is over."""
        passes, self._open = list(self._open.values()), {}
        for done in passes:
            if done.count:
                self.emit(signals.EVALUATION_LOSS, done.label, step, done.total / done.count)
                self.emit(signals.EVALUATION_COUNT, done.label, step, float(done.count))
                if done.bits:
                    self.emit(signals.EVALUATION_MODE, done.label, step, float(done.bits & ~RAN))

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    def _label(self, key: tuple[Any, ...], kind: str, loader: str) -> str:
        label = self._labels.get(key)
        if label is None:
            label = self._labels[key] = f"{kind}#{len(self._labels)}" if self._labels else kind
            place = where(user_frame())
            self.event(
                "evaluation",
                label=label,
                kind=kind,
                loader=loader,
                where={"file": place.file, "line": place.line} if place else None,
            )
        return label
