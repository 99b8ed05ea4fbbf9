"""The way out of the watch: values through the late fetch, into the recorder."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

from losscope.recording import signals
from losscope.recording.signals import Signal
from losscope.watching.fetch import Fetch


class SeriesHandle(Protocol):
    def add(self, step: int, value: float) -> None: ...


class RecorderLike(Protocol):
    def series(self, signal: Signal, label: str = "") -> SeriesHandle: ...

    def event(self, kind: str, /, **fields: Any) -> None: ...


class Outlet:
    """What probes and the watch write to. Keeps one handle per series."""

    def __init__(self, recorder: RecorderLike) -> None:
        self._recorder = recorder
        self._handles: dict[tuple[str, str], Any] = {}
        self._fetch = Fetch(self._write)
        self.non_finite = False

    def record(self, signal: Signal, label: str, step: int, value: float | Tensor) -> None:
        if type(value) is float:
            self._write(signal, label, step, value)
        else:
            self._fetch.put(signal, label, step, value)

    def record_many(self, signal: Signal, labels: Sequence[str], step: int, values: Tensor) -> None:
        self._fetch.put_many(signal, labels, step, values)

    def writer(self, signal: Signal, label: str) -> Callable[[int, float], None]:
        """The quickest way to one series: ``(step, value)`` straight into the recorder."""
        return self._recorder.series(signal, label).add

    def event(self, kind: str, /, **fields: Any) -> None:
        self._recorder.event(kind, **fields)

    def drain(self) -> None:
        self._fetch.drain()

    def _write(self, signal: Signal, label: str, step: int, value: float) -> None:
        key = (signal.name, label)
        add = self._handles.get(key)
        if add is None:
            add = self._handles[key] = self._recorder.series(signal, label).add
        add(step, value)
        if signal is signals.LOSS and value - value != 0.0:
            self.non_finite = True
