"""The recorder: what the watching side writes a run with.

Three parties share the work. The *training threads* put records into lists (``SeriesHandle.add``:
no lock, no system call). The *encoder thread* wakes every half second, empties the lists and packs
what it found into a frame. The *disk thread* appends frames with plain write(2). So a slow disk holds
up nothing but the disk thread, and ``kill -9`` at any moment loses what was added in the last half second.

Rare events are written by the caller itself, one write(2) per line, before ``event`` returns.

A fault of the disk (full, read-only, folder deleted, too slow) switches recording off: ``failed`` says
why, what was in memory is freed, and every later call does nothing. Nothing here raises into training.

After ``os.fork`` the child's copy of the recorder is inert. Around the fork the parent's threads are
stopped, since CPython warns in a script's name when a process with threads forks; the first record
afterwards starts them again.
"""

import atexit
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from losscope.recording.append_thread import AppendThread
from losscope.recording.background import HiddenThread
from losscope.recording.event_log import EventLog
from losscope.recording.packer import Packer
from losscope.recording.run_file import RunFile
from losscope.recording.run_folder import make_private
from losscope.recording.series_handle import SeriesHandle
from losscope.recording.signals import Signal

FLUSH_SECONDS = 0.5
MAX_BACKLOG = 64 << 20
"""Bytes of packed frames that may wait for a slow disk: about 20 million records."""
MAX_WAITING = 4_000_000
"""Records that may wait to be packed."""
_CLOSE_SECONDS = 5.0
_FORK_SECONDS = 0.5

_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


class Recorder:
    """Writes one process's part of a run into ``folder``; no method raises for a fault of the disk.

    ``rank`` is the process's rank in distributed training. Several processes, also of one rank, may
    record into one folder: each has its own segment ``segments/RANK-PID.seg``.
    """

    def __init__(self, folder: Path | str, rank: int = 0, *, flush_seconds: float = FLUSH_SECONDS) -> None:
        self.folder, self.rank = Path(folder), rank
        self.failed: str | None = None
        self.background_seconds = 0.0  # processor time that packing has taken, to the last wake-up
        self._pid = os.getpid()
        self._flush_seconds = flush_seconds
        self._closed = False
        self._handles: dict[tuple[str, str], SeriesHandle] = {}
        self._make_locks()
        self._stop = threading.Event()
        self._encoder: HiddenThread | None = None
        self._disk = AppendThread(
            self.folder / "segments" / f"{rank}-{self._pid}.seg", lambda error: self._fail(_reason(error))
        )
        self._packer = Packer(self._disk.put, rank, self._pid)
        self._events = EventLog(self.folder / ("events.jsonl" if rank == 0 else f"events-{rank}.jsonl"))
        self._run_file = RunFile(self.folder, rank)
        try:
            make_private(self.folder / "segments")
            self._run_file.create()
        except OSError as error:
            self._fail(_reason(error))
        _recorders.add(self)

    def series(self, signal: Signal, label: str = "") -> SeriesHandle:
        """The handle of a series; the same one for the same signal and label."""
        key = (signal.name, label)
        handle = self._handles.get(key)
        if handle is None:
            with self._lifecycle:
                handle = self._handles.get(key) or self._new_handle(key)
        return handle

    def event(self, kind: str, /, **fields: Any) -> None:
        """Appends one line to the events file at once, with the time (seconds since 1970, UTC).

        Fields may be anything: what JSON does not know becomes text. A field named ``kind`` is part of
        the event; the event's own kind stands under ``"event"``.
        """
        self._write(f"event {kind}", partial(self._events.write, kind, fields))

    def update_run(self, **fields: Any) -> None:
        """Sets fields of ``run.json``; the file is replaced atomically."""
        self._write("update_run", partial(self._run_file.update, fields))

    def flush(self) -> None:
        """Hands everything added so far to the operating system; waits at most a few seconds."""
        if self._active:
            self._pack()
            self._disk.sync(_CLOSE_SECONDS)

    def close(self) -> None:
        """Writes what is left and ends the threads; later records are thrown away. Takes at most ~10 s."""
        if self._closed or os.getpid() != self._pid:
            return
        self._stop_encoder(_CLOSE_SECONDS)
        self._pack()
        with self._lifecycle:
            self._closed = True
            self._switch_off()
        self._disk.close(_CLOSE_SECONDS)
        self._events.close()

    @property
    def rejected(self) -> int:
        """Records left out because their step or value was not a number of 64 bits."""
        return sum(handle.rejected for handle in list(self._handles.values()))

    @property
    def _active(self) -> bool:
        return self.failed is None and not self._closed and os.getpid() == self._pid

    def _write(self, where: str, action: Callable[[], None]) -> None:
        """Runs ``action``; a fault of the disk switches recording off, one in a foreign object is an event."""
        if not self._active:
            return
        try:
            action()
        except OSError as error:
            self._fail(_reason(error))
        except Exception as error:  # noqa: BLE001 - what the caller handed over may raise anything
            fault = {"where": where, "error": f"{type(error).__name__}: {error}"}
            try:
                self._events.write("fault", fault)
            except OSError as refused:
                self._fail(_reason(refused))

    def _new_handle(self, key: tuple[str, str]) -> SeriesHandle:
        handle = SeriesHandle(len(self._handles), *key)
        if not self._active:
            handle.switch_off()
        elif self._encoder is None:
            handle.divert(self._wake)
        self._handles[key] = handle
        return handle

    # --- threads -----------------------------------------------------------------------------------
    def _wake(self) -> bool:
        """The first record since the beginning, or since a fork, starts the threads; whether they run."""
        with self._lifecycle:
            if self._encoder is not None or not self._active:
                return self._active
            self._stop = threading.Event()
            encoder = HiddenThread(partial(self._encode, self._stop))
            try:
                self._disk.start()
                encoder.start()
            except RuntimeError as error:
                self._fail(f"recording is off: {error}")
                return False
            self._encoder = encoder
            for handle in self._handles.values():
                handle.keep()
            return True

    def _encode(self, stop: threading.Event) -> None:
        before, earlier = time.thread_time(), self.background_seconds
        while not stop.wait(self._flush_seconds):
            self._pack()
            self.background_seconds = earlier + time.thread_time() - before
        self._pack()

    def _stop_encoder(self, timeout: float) -> None:
        """Stops the encoder; the next record starts it again."""
        with self._lifecycle:
            encoder, self._encoder = self._encoder, None
            for handle in self._handles.values():
                if self._active:
                    handle.divert(self._wake)
        self._stop.set()
        if encoder is not None:
            encoder.join(timeout)

    # --- packing -----------------------------------------------------------------------------------
    def _pack(self) -> None:
        """Empties the handles into frames for the disk thread, within the bounds on memory."""
        if not self._packing.acquire(timeout=_CLOSE_SECONDS):
            return
        try:
            handles = list(self._handles.values())
            if self.failed is not None:
                return
            if sum(map(len, handles)) > MAX_WAITING:
                self._fail("recording is off: records came faster than they could be packed")
                return
            self._packer.pack(handles)
            if self._disk.backlog > MAX_BACKLOG:
                self._fail("recording is off: the disk is too slow")
        except Exception as error:  # noqa: BLE001 - a fault of ours must not reach the script
            self._fail(f"recording is off: internal fault {type(error).__name__}: {error}")
        finally:
            self._packing.release()

    # --- switching off -----------------------------------------------------------------------------
    def _fail(self, reason: str) -> None:
        """Switches recording off for good and frees what was in memory."""
        first = self.failed is None
        self.failed = self.failed or reason
        self._switch_off()
        self._disk.discard()
        if first:
            with contextlib.suppress(OSError):  # the disk may refuse this as well; ``failed`` says why
                self._run_file.update({"recording_failed": reason})

    def _switch_off(self) -> None:
        self._stop.set()
        for handle in list(self._handles.values()):
            handle.switch_off()

    def _before_fork(self) -> None:
        if self._encoder is not None and os.getpid() == self._pid:
            self._stop_encoder(_FORK_SECONDS)
            self._disk.stop(_FORK_SECONDS)

    def _after_fork_in_child(self) -> None:
        self._make_locks()  # another thread of the parent may have held them
        self.failed = self.failed or "recording is off: this is a forked child of the recorded process"
        self._switch_off()
        self._disk.abandon_in_child()
        self._events.close()

    def _make_locks(self) -> None:
        self._lifecycle = threading.RLock()
        self._packing = threading.Lock()


def _reason(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"recording is off: {error.strerror or error}{where}".replace("\n", " ")


def _before_fork() -> None:
    for recorder in list(_recorders):
        recorder._before_fork()


def _after_fork_in_child() -> None:
    for recorder in list(_recorders):
        with contextlib.suppress(OSError):  # a descriptor that the script has closed
            recorder._after_fork_in_child()


def _flush_all() -> None:
    """At exit: what was never closed is flushed, and stays open for whoever exits after us."""
    for recorder in list(_recorders):
        recorder.flush()


atexit.register(_flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
