"""The recording: what rules, reports and the dashboard read a run with."""

import copy
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from losscope.core.errors import DamagedRecording, NotARun
from losscope.recording.run_file import RUN_FILE
from losscope.recording.segment_reader import ProcessRecord, SegmentRecords, read_segment
from losscope.recording.series import EMPTY, Series
from losscope.recording.signals import Signal, all_signals

_SEGMENT = re.compile(r"(\d+)-(\d+)(?:-(\d+))?\.seg")
_EVENTS = re.compile(r"events(?:-(\d+))?\.jsonl")
_MAX_LINE = 16 << 20
_MAX_EVENTS_FILE = 1 << 30
_REMEDY = "give the folder that `losscope run` named at its end"

Processes = dict[int, dict[int, ProcessRecord]]
"""The records of a run by rank and process."""


class Recording:
    """One run: its series, events and run file. Reading never changes anything on disk.

    ``rank`` selects a process of distributed training. Several processes can have recorded as the same
    rank (trainers started by ``fork`` or ``spawn``); the *main* one is meant unless ``pid`` names
    another: the process that made ``run.json`` if it recorded anything, else the one with most records.
    ``folder`` is where the run lies; ``None`` for one that was never on disk.
    """

    def __init__(
        self,
        run: dict[str, Any],
        events: dict[int, list[dict[str, Any]]],
        processes: Processes,
        damage: list[str],
        folder: Path | None = None,
    ) -> None:
        self.folder = folder
        self.run = run
        self.damage = damage
        self._events = events
        self._processes = processes
        self._focus: frozenset[str] = frozenset()

    @classmethod
    def open(cls, folder: Path | str) -> "Recording":
        """Reads a run folder, finished or not, whole or damaged; what was lost is listed in ``damage``.

        Cost: the segments are read once; about 5 bytes of memory per record, and 16 more for each
        record of a series that is asked for. Raises ``NotARun`` where there is no run, and
        ``DamagedRecording`` where a newer format or a file that may not be read stands in the way.
        """
        folder = Path(folder)
        try:
            return _open(folder)
        except OSError as error:
            raise DamagedRecording(
                "this run cannot be read", seen=f"{error.filename or folder}: {error.strerror or error}"
            ) from error

    @classmethod
    def from_memory(
        cls,
        series: Mapping[tuple[Signal | str, str], Any],
        events: Iterable[Mapping[str, Any]] = (),
        run: Mapping[str, Any] | None = None,
    ) -> "Recording":
        """A recording that was never on disk, for tests of rules and for other tools' logs.

        ``series`` maps (signal, label) to (steps, values), to a ``Series``, or to values alone, whose
        steps are then 0, 1, 2, …
        """
        record = ProcessRecord(0)
        for (signal, label), data in series.items():
            record.add_series((_name(signal), label), _as_series(data))
        return cls(dict(run or {}), {0: [_with_kind(dict(e)) for e in events]}, {0: {0: record}}, [])

    def series(
        self, signal: Signal | str, label: str = "", *, rank: int = 0, pid: int | None = None
    ) -> Series:
        """The records of one series in order of writing; empty where there are none."""
        process = self._process(rank, pid)
        return process.series((_name(signal), label)) if process else EMPTY

    def labels(self, signal: Signal | str, *, rank: int = 0, pid: int | None = None) -> list[str]:
        """The labels under which a signal was recorded, in order of their first record."""
        process = self._process(rank, pid)
        name = _name(signal)
        found = [label for recorded, label in (process.keys() if process else ()) if recorded == name]
        if not self._focus or not _of_streams(name):
            return found
        return [label for label in found if label.split("/")[0] in self._focus]

    def focused(self, streams: Collection[str]) -> "Recording":
        """The same run as if these streams were all; of none given, the whole run."""
        part = copy.copy(self)
        part._focus = frozenset(streams)
        return part

    def shows(self, event: Mapping[str, Any]) -> bool:
        """Whether this is about a stream of the focus, or about none."""
        stream = event.get("stream")
        return not self._focus or stream is None or str(stream) in self._focus

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events of rank 0 in order of writing, of all its processes (``"pid"`` tells which)."""
        return [event for event in self._events.get(0, []) if self.shows(event)]

    def events_of(self, kind: str, *, rank: int = 0, pid: int | None = None) -> list[dict[str, Any]]:
        """The events of one kind, in order of writing."""
        return [
            event
            for event in self._events.get(rank, [])
            if event.get("event") == kind and (pid is None or event.get("pid") == pid) and self.shows(event)
        ]

    @property
    def ranks(self) -> list[int]:
        """The ranks that recorded anything."""
        return sorted({*self._processes, *self._events})

    def pids(self, rank: int = 0) -> list[int]:
        """The processes that recorded series as this rank, the main one first."""
        processes = self._processes.get(rank, {})
        main = self.run.get("pid")

        def place(pid: int) -> tuple[bool, int, float, int]:
            return pid != main, -processes[pid].total, processes[pid].started, pid

        return sorted(processes, key=place)

    def _process(self, rank: int, pid: int | None) -> ProcessRecord | None:
        if pid is None:
            pid = next(iter(self.pids(rank)), None)
        return self._processes.get(rank, {}).get(pid) if pid is not None else None


def _of_streams(name: str) -> bool:
    """Whether the labels of a signal begin with a stream."""
    signal = all_signals().get(name)
    return signal is not None and signal.label.split("/")[0] == "stream"


def _open(folder: Path) -> Recording:
    if not folder.is_dir():
        what = "this is not a run folder" if folder.exists() else "there is no such run folder"
        raise NotARun(what, seen=str(folder), remedy=_REMEDY)
    damage: list[str] = []
    segments = sorted(
        (int(m[1]), int(m[2]), int(m[3] or 1), path)
        for path in (folder / "segments").glob("*.seg")
        if (m := _SEGMENT.fullmatch(path.name))
    )
    events = {
        int(m[1] or 0): path for path in folder.glob("events*.jsonl") if (m := _EVENTS.fullmatch(path.name))
    }
    run = _read_run(folder / RUN_FILE, damage)
    if run is None and not segments and not events:
        raise NotARun("this folder holds no run", seen=str(folder), remedy=_REMEDY)
    if failed := (run or {}).get("recording_failed"):
        damage.append(str(failed))
    processes: Processes = {}
    for rank, pid, _, path in segments:
        records = read_segment(path)
        damage += [f"segments/{path.name}: {text}" for text in records.damage]
        _file_under(processes, rank, pid, records)
    read = {rank: _read_events(path, damage) for rank, path in sorted(events.items())}
    return Recording(run or {}, read, processes, damage, folder)


def _file_under(processes: Processes, rank: int, pid: int, records: SegmentRecords) -> None:
    by_pid = processes.setdefault(rank, {})
    by_pid.setdefault(pid, ProcessRecord(records.started)).add(records)


def _read_run(path: Path, damage: list[str]) -> dict[str, Any] | None:
    """The run file's fields; ``None`` where there is none of ours."""
    if not path.is_file():
        damage.append(f"{RUN_FILE} is missing")
        return None
    try:
        run = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        damage.append(f"{RUN_FILE} is not readable as JSON")
        return None
    return run if isinstance(run, dict) and "losscope" in run else None


def _read_events(path: Path, damage: list[str]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    torn = 0
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE):
            event = _event(line)
            torn += event is None
            events += [event] if event is not None else []
            if file.tell() > _MAX_EVENTS_FILE:
                damage.append(f"{path.name}: longer than {_MAX_EVENTS_FILE} bytes; the rest was not read")
                break
    if torn:
        damage.append(f"{path.name}: {torn} line(s) are torn or damaged and were skipped")
    return events


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _with_kind(event) if isinstance(event, dict) and ("event" in event or "kind" in event) else None


def _with_kind(event: dict[str, Any]) -> dict[str, Any]:
    """The event's own kind stands under ``"event"``: ``"kind"`` may be one of its fields."""
    event.setdefault("event", event.get("kind"))
    return event


def _name(signal: Signal | str) -> str:
    return signal if isinstance(signal, str) else signal.name


def _as_series(data: Any) -> Series:
    if isinstance(data, Series):
        return data
    if isinstance(data, Sequence) and len(data) == 2 and all(hasattr(part, "__len__") for part in data):
        return Series.of(*data)
    return Series.of(range(len(data)), data)
