"""Bytes to records: the inverse of ``encode``, for readers (numpy).

Nothing of what the bytes claim is believed before it is checked against the bytes that are left and
against the most that one frame may hold, so no claim makes this allocate more than a few megabytes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from losscope.recording.encode import (
    DIFFERENCES,
    FLOAT32,
    FLOAT64,
    MICRO,
    MICRO_PER_UNIT,
    PROGRESSION,
)
from losscope.recording.segment import MAX_RECORDS

_INT64 = range(-(1 << 63), 1 << 63)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive records of one series: float32 where that is exact, to keep large runs small."""

    number: int
    steps: NDArray[np.int64] | range
    values: NDArray[np.float64] | NDArray[np.float32]

    def expanded_steps(self) -> NDArray[np.int64]:
        if isinstance(self.steps, range):
            return np.arange(len(self.steps), dtype=np.int64) * np.int64(self.steps.step) + self.steps.start
        return self.steps


class _Cursor:
    """Reads a body from front to back and refuses to read past its end."""

    def __init__(self, body: bytes) -> None:
        self.body, self.position = body, 0

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        number = shift = 0
        while shift < 70:
            part = self.byte()
            number |= (part & 0x7F) << shift
            if part < 0x80:
                return number
            shift += 7
        raise ValueError("a number is too long")

    def signed(self) -> int:
        coded = self.varint()
        return coded >> 1 ^ -(coded & 1)

    def take(self, length: int) -> bytes:
        part = self.body[self.position : self.position + length]
        if len(part) != length:
            raise ValueError("the body ends too soon")
        self.position += length
        return part

    def unshuffled(self, count: int, dtype: str) -> np.ndarray:
        width = np.dtype(dtype).itemsize
        planes = np.frombuffer(self.take(count * width), dtype=np.uint8).reshape(width, count)
        return np.ascontiguousarray(planes.T).view(dtype).reshape(count)


def decode_records(body: bytes) -> list[Chunk]:
    """The chunks of a record frame. Raises ``ValueError`` where the body is not one."""
    cursor = _Cursor(body)
    columns: list[NDArray[np.int64] | range] = []
    room = MAX_RECORDS
    for _ in range(_bounded(cursor.varint())):
        columns.append(_steps_column(cursor, room))
        room -= len(columns[-1])
    directory: list[tuple[int, int, int]] = []
    for _ in range(_bounded(cursor.varint())):
        number, column, coding = cursor.varint(), cursor.varint(), cursor.byte()
        if column >= len(columns) or coding not in (FLOAT32, FLOAT64, MICRO):
            raise ValueError("the directory names a column or coding that does not exist")
        directory.append((number, column, coding))
    values: dict[int, np.ndarray] = {}
    for coding, dtype in ((FLOAT32, "<f4"), (FLOAT64, "<u8"), (MICRO, "<u8")):
        total = _bounded(sum(len(columns[column]) for _, column, c in directory if c == coding))
        values[coding] = cursor.unshuffled(total, dtype)
    if cursor.position != len(body):
        raise ValueError("bytes are left over")
    return _cut(directory, columns, values)


def _cut(
    directory: list[tuple[int, int, int]],
    columns: list[NDArray[np.int64] | range],
    values: dict[int, np.ndarray],
) -> list[Chunk]:
    """Gives each series its part of the joined columns."""
    chunks: list[Chunk] = []
    used = dict.fromkeys(values, 0)
    for number, column, coding in directory:
        steps = columns[column]
        part = values[coding][used[coding] : used[coding] + len(steps)]
        used[coding] += len(steps)
        if coding == MICRO:
            part = np.cumsum(_unzigzag(part)) / MICRO_PER_UNIT
        elif coding == FLOAT64:
            part = np.cumsum(np.cumsum(_unzigzag(part))).view(np.float64)
        chunks.append(Chunk(number, steps, part))
    return chunks


def _bounded(count: int) -> int:
    if count > MAX_RECORDS:
        raise ValueError("more is announced than one frame may hold")
    return count


def _steps_column(cursor: _Cursor, room: int) -> NDArray[np.int64] | range:
    mode, count, first = cursor.byte(), cursor.varint(), cursor.signed()
    if not 0 < count <= room or first not in _INT64:
        raise ValueError("a column of steps is out of bounds")
    if mode == PROGRESSION:
        return _progression(first, cursor.signed(), count)
    if mode != DIFFERENCES:
        raise ValueError("unknown coding of steps")
    steps = np.empty(count, dtype=np.int64)
    steps[0] = first
    steps[1:] = _unzigzag(cursor.unshuffled(count - 1, "<u8"))
    return np.cumsum(steps)


def _progression(first: int, stride: int, count: int) -> NDArray[np.int64] | range:
    last = first + stride * (count - 1)
    if stride not in _INT64 or last not in _INT64:
        raise ValueError("a progression of steps leaves the range of 64 bits")
    if stride == 0:  # a range cannot repeat itself
        return np.full(count, first, dtype=np.int64)
    return range(first, last + (1 if stride > 0 else -1), stride)


def _unzigzag(coded: np.ndarray) -> NDArray[np.int64]:
    return (coded >> np.uint64(1)).astype(np.int64) ^ -(coded & np.uint64(1)).astype(np.int64)
