"""A thread that appends bytes to one file, so that nobody else ever waits for the disk."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

from losscope.recording.background import HiddenThread

FILE_MODE = 0o600
_MAX_NAMES = 1000


def open_for_append(path: Path, *, exclusive: bool = False) -> int:
    """A file descriptor that only appends, readable by the owner alone and not inherited by children."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | (os.O_EXCL if exclusive else 0), FILE_MODE)


def open_new(path: Path) -> int:
    """Like ``open_for_append``, of a file that did not exist: ``x.seg``, or ``x-2.seg`` if it did, …"""
    for attempt in range(1, _MAX_NAMES):
        name = path.name if attempt == 1 else f"{path.stem}-{attempt}{path.suffix}"
        try:
            return open_for_append(path.with_name(name), exclusive=True)
        except FileExistsError:
            continue
    raise FileExistsError(errno.EEXIST, "every name for a new file is taken", str(path))


def write_all(descriptor: int, data: bytes) -> None:
    """Plain write(2) until all is written. Raises ``OSError``; never syncs."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class AppendThread:
    """Appends what it is given, in order, to a file that it creates at the first write.

    ``on_error`` is called on this thread with the ``OSError`` that ended the writing; everything that
    comes later is thrown away. ``backlog`` is the number of bytes that wait.
    """

    def __init__(self, path: Path, on_error: Callable[[OSError], None]) -> None:
        self._path, self._on_error = path, on_error
        self._queue: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        self._descriptor = -1
        self._thread: HiddenThread | None = None
        self._stopping = False
        self._broken = False
        self._put = self._written = 0

    @property
    def backlog(self) -> int:
        return 0 if self._broken else self._put - self._written

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.alive

    def put(self, data: bytes) -> None:
        """Hands over bytes; one caller at a time."""
        if not self._broken:
            self._put += len(data)
            self._queue.put(data)

    def start(self) -> None:
        """Starts the thread unless it runs. Raises ``RuntimeError`` where no thread can be started."""
        self._stopping = False
        if not self.alive:
            self._thread = HiddenThread(self._run)
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """Lets the thread write what waits, then end; returns after ``timeout`` seconds in any case."""
        if self._thread is not None:
            self._stopping = True
            self._queue.put(b"")
            self._thread.join(timeout)

    def sync(self, timeout: float) -> bool:
        """Waits until everything given so far has been handed to the operating system."""
        if not self.alive:
            self._write_waiting()
            return True
        reached = threading.Event()
        self._queue.put(reached)
        return reached.wait(timeout)

    def close(self, timeout: float) -> None:
        """Writes what waits and closes the file, unless the disk hangs for longer than ``timeout``."""
        self.stop(timeout)
        if not self.alive:
            self._write_waiting()
            self._broken = True
            self._close_file()

    def discard(self) -> None:
        """Throws away what waits and what comes; from any thread."""
        self._broken = True
        self._write_waiting()

    def abandon_in_child(self) -> None:
        """After a fork: the thread is not here, and the file belongs to the parent."""
        self._broken, self._thread, self._queue = True, None, SimpleQueue()
        self._close_file()

    def _run(self) -> None:
        while not (self._stopping and self._queue.empty()):
            self._handle(self._queue.get())

    def _write_waiting(self) -> None:
        while True:
            try:
                self._handle(self._queue.get_nowait())
            except Empty:
                return

    def _handle(self, item: bytes | threading.Event) -> None:
        if isinstance(item, threading.Event):
            item.set()
            return
        if item and not self._broken:
            try:
                self._append(item)
            except OSError as error:
                self._broken = True
                self._close_file()
                self._on_error(error)
        self._written += len(item)

    def _append(self, data: bytes) -> None:
        if self._descriptor < 0:
            self._descriptor = open_new(self._path)
        if os.fstat(self._descriptor).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "deleted while it was written", str(self._path))
        write_all(self._descriptor, data)

    def _close_file(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
