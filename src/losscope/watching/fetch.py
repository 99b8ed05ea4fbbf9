"""Values on their way from a device to the recorder, fetched late and in batches.

CPU values are taken at once. Values on an accelerator are stacked and copied asynchronously into pinned
memory; they are written when the copy has ended, without ever waiting inside a training step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.recording.signals import Signal
from losscope.watching.values import in_capture

_BATCH = 64  # pending scalars that trigger a copy

Write = Callable[[Signal, str, int, float], None]


class Fetch:
    """Collects ``(signal, label, step, value)`` and hands plain floats to ``write`` in order per batch."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._pending: list[tuple[Signal, str, int, Tensor]] = []
        self._copying: list[tuple[list[tuple[Signal, str, int]], Tensor, Any]] = []

    def put(self, signal: Signal, label: str, step: int, value: float | Tensor) -> None:
        if not isinstance(value, Tensor):
            self._write(signal, label, step, float(value))
        elif value.is_cpu:
            self._write(signal, label, step, float(value.item()))
        else:
            self._pending.append((signal, label, step, value if not value.ndim else value.reshape(())))
            if len(self._pending) >= _BATCH:
                self.start()

    def put_many(self, signal: Signal, labels: Sequence[str], step: int, values: Tensor) -> None:
        if values.is_cpu:
            for label, value in zip(labels, values.tolist(), strict=True):
                self._write(signal, label, step, value)
            return
        self._send([(signal, label, step) for label in labels], values.detach())

    def start(self) -> None:
        """Begin copying what is pending, and write whatever has arrived by now."""
        if self._pending and in_capture(self._pending[0][3]):
            return
        pending, self._pending = self._pending, []
        alike: dict[tuple[torch.device, torch.dtype], list[tuple[Signal, str, int, Tensor]]] = {}
        for entry in pending:
            alike.setdefault((entry[3].device, entry[3].dtype), []).append(entry)
        for entries in alike.values():
            stacked = torch.stack([value for *_, value in entries])
            self._send([(signal, label, step) for signal, label, step, _ in entries], stacked)
        self.poll()

    def poll(self) -> None:
        """Write every batch whose copy has ended."""
        while self._copying and (self._copying[0][2] is None or self._copying[0][2].query()):
            self._finish()

    def drain(self) -> None:
        """At the end of the run: wait for all copies."""
        self.start()
        while self._copying:
            event = self._copying[0][2]
            if event is not None:
                event.synchronize()
            self._finish()

    def _send(self, keys: list[tuple[Signal, str, int]], values: Tensor) -> None:
        if values.device.type == "cuda":
            host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            host.copy_(values, non_blocking=True)
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(values.device))
            self._copying.append((keys, host, event))
        else:  # devices without events: one copy per batch, not per step
            self._copying.append((keys, values.cpu(), None))

    def _finish(self) -> None:
        keys, host, _ = self._copying.pop(0)
        for (signal, label, step), value in zip(keys, host.tolist(), strict=True):
            self._write(signal, label, step, value)
