"""From a segment file to the records of one process."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from losscope.recording import segment
from losscope.recording.decode import Chunk, decode_records
from losscope.recording.series import EMPTY, Series

Key = tuple[str, str]
"""Signal name and label."""

_RECORDS_FREE = 1 << 24
_RECORDS_PER_BYTE = 64
"""A segment may hold this many records plus so many per byte of its size. Real runs record a time with
every update and stay below one record per byte; only a file made to exhaust the reader exceeds this."""


@dataclass(slots=True)
class SegmentRecords:
    """All readable chunks of one segment by series, and what was damaged."""

    chunks: dict[Key, list[Chunk]] = field(default_factory=dict)
    started: float = 0.0
    damage: list[str] = field(default_factory=list)


class ProcessRecord:
    """The series of one process; each is put together when it is first asked for, then kept."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.total = 0
        self._chunks: dict[Key, list[Chunk]] = {}
        self._series: dict[Key, Series] = {}

    def add(self, records: SegmentRecords) -> None:
        """Appends what a further segment of the same process holds."""
        for key, chunks in records.chunks.items():
            self._chunks.setdefault(key, []).extend(chunks)
            self.total += sum(len(chunk.values) for chunk in chunks)

    def add_series(self, key: Key, series: Series) -> None:
        self._series[key] = series
        self.total += len(series)

    def keys(self) -> Iterable[Key]:
        return list(dict.fromkeys((*self._chunks, *self._series)))

    def series(self, key: Key) -> Series:
        if key not in self._series:
            chunks = self._chunks.get(key)
            if not chunks:
                return EMPTY
            steps = np.concatenate([chunk.expanded_steps() for chunk in chunks])
            values = np.concatenate([chunk.values for chunk in chunks]).astype(np.float64)
            self._series[key] = Series(steps, values)
        return self._series[key]


def read_segment(path: Path) -> SegmentRecords:
    """Reads one segment. Raises ``OSError``, and ``DamagedRecording`` for an unknown version."""
    data = path.read_bytes()
    scan = segment.scan(data)
    records = SegmentRecords(damage=scan.damage)
    started = scan.header.get("started")
    records.started = float(started) if isinstance(started, int | float) else 0.0
    names = _names(scan)
    room = _RECORDS_FREE + _RECORDS_PER_BYTE * len(data)
    for frame in scan.frames:
        if frame.kind != segment.RECORDS:
            continue
        try:
            chunks = decode_records(frame.body())
        except (ValueError, zlib.error) as error:
            records.damage.append(f"frame {frame.sequence} is unreadable: {error}")
            continue
        room -= sum(len(chunk.values) for chunk in chunks)
        if room < 0:
            records.damage.append(
                f"frame {frame.sequence} and later: more records than the file's size allows"
            )
            break
        _file_chunks(records, chunks, names)
    return records


def _names(scan: segment.Scan) -> dict[int, Key]:
    names: dict[int, Key] = {}
    for frame in scan.frames:
        if frame.kind == segment.DEFINITIONS:
            try:
                names |= segment.read_definitions(frame.body())
            except (ValueError, TypeError, RecursionError, zlib.error) as error:
                scan.damage.append(f"frame {frame.sequence} is unreadable: {error}")
    return names


def _file_chunks(records: SegmentRecords, chunks: list[Chunk], names: dict[int, Key]) -> None:
    nameless = 0
    for chunk in chunks:
        if chunk.number in names:
            records.chunks.setdefault(names[chunk.number], []).append(chunk)
        else:
            nameless += len(chunk.values)
    if nameless:
        records.damage.append(f"{nameless} record(s) belong to series whose names are lost")
