"""The hot path: what a probe calls once per record."""

from array import array
from collections import deque
from collections.abc import Callable
from operator import index
from typing import Any

Sink = Callable[[tuple[int, float]], Any]

_discard: Sink = deque[Any](maxlen=0).extend
"""Takes the pair and keeps nothing, in C."""


class SeriesHandle:
    """Where the records of one series are put; made by ``Recorder.series``.

    ``add(step, value)`` takes an ``int`` and a ``float`` or ``int``, from any thread, and costs about
    0.06 µs. It is a closure over the current sink rather than a method: no attribute is looked up,
    and a caller that keeps ``add`` in a variable still follows when recording is switched off.

    Both parts of a record go into one flat list through one call of ``list.extend``, which is atomic,
    needs no lock and leaves no tuple behind for the garbage collector to track. A value of another
    type is converted with ``float()`` later, on the recorder's thread; where that fails the record is
    counted in ``rejected``.
    """

    __slots__ = ("_pairs", "_set_sink", "add", "defined", "label", "name", "number", "rejected")

    def __init__(self, number: int, name: str, label: str) -> None:
        self.number, self.name, self.label = number, name, label
        self.defined = False
        self.rejected = 0
        self._pairs: list[Any] = []
        sink: Sink = self._pairs.extend

        def add(step: int, value: float) -> None:
            sink((step, value))

        def set_sink(new: Sink) -> None:
            nonlocal sink
            sink = new

        self.add: Callable[[int, float], None] = add
        self._set_sink = set_sink

    def __len__(self) -> int:
        """Records that wait to be taken."""
        return len(self._pairs) // 2

    def keep(self) -> None:
        """Records are kept until ``take``."""
        self._set_sink(self._pairs.extend)

    def divert(self, wake: Callable[[], bool]) -> None:
        """``wake`` is called first (the recorder starts its threads there); a record is kept if it says so."""

        def wake_and_keep(pair: tuple[int, float]) -> None:
            if wake():
                self._pairs.extend(pair)

        self._set_sink(wake_and_keep)

    def switch_off(self) -> None:
        """Waiting and later records are thrown away."""
        self._set_sink(_discard)
        self._pairs.clear()

    def take(self) -> tuple["array[int]", "array[float]"]:
        """Removes and returns the waiting records as columns of steps and values."""
        length = len(self._pairs)
        flat = self._pairs[:length]
        del self._pairs[:length]
        try:
            return array("q", flat[0::2]), array("d", flat[1::2])
        except (TypeError, ValueError, OverflowError, RuntimeError):
            return self._take_one_by_one(flat)

    def _take_one_by_one(self, flat: list[Any]) -> tuple["array[int]", "array[float]"]:
        steps, values = array("q"), array("d")
        for step, value in zip(flat[0::2], flat[1::2], strict=True):
            try:
                whole, number = index(step), float(value)
                steps.append(whole)
            except (TypeError, ValueError, OverflowError, RuntimeError):  # not a number, or beyond 64 bits
                self.rejected += 1
            else:
                values.append(number)
        return steps, values
