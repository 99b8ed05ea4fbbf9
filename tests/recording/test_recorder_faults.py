"""Faults of the disk and of the recorder itself: recording is switched off, and says why."""

import errno
import math
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from losscope.recording import append_thread, packer, signals, writer
from losscope.recording.reader import Recording
from losscope.recording.writer import Recorder


def assert_is_off(recorder: Recorder, reason: str) -> None:
    """The recorder says why it is off, keeps nothing, and takes every further call in silence."""
    assert recorder.failed is not None
    assert reason in recorder.failed
    assert "\n" not in recorder.failed
    handle = recorder.series(signals.LOSS, "0")
    for step in range(1000):
        handle.add(step, 0.0)
    assert len(handle) == 0
    assert recorder._disk.backlog == 0
    recorder.event("model")
    recorder.update_run(x=1)
    recorder.flush()
    recorder.close()


def fail_after(monkeypatch: pytest.MonkeyPatch, number: int, count: int, where: Path) -> None:
    """``os.write`` into files below ``where`` fails with ``number`` after ``count`` bytes; a short write first."""
    true_write = os.write
    left = [count]

    def write(descriptor: int, data: Any) -> int:
        if not str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith(str(where)):
            return true_write(descriptor, data)
        if left[0] <= 0:
            raise OSError(number, os.strerror(number))
        part = bytes(data)[: left[0]]
        left[0] -= len(part)
        return true_write(descriptor, part)

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("room", [0, 1, 10, 300, 700])
def test_a_disk_that_fills_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, room: int
) -> None:
    recorder = Recorder(tmp_path)
    fail_after(monkeypatch, number, room, tmp_path)
    handle = recorder.series(signals.LOSS, "0")
    for burst in range(20):
        for i in range(100):
            handle.add(100 * burst + i, math.sqrt(i))
        recorder.flush()
    assert_is_off(recorder, os.strerror(number))
    monkeypatch.undo()
    recording = Recording.open(tmp_path)
    series = recording.series(signals.LOSS, "0")
    assert series.values.tolist() == [math.sqrt(s % 100) for s in range(len(series))]
    assert len(series) % 100 == 0


def test_events_on_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full on this system")
    recorder = Recorder(tmp_path)
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    recorder.event("model")
    assert_is_off(recorder, os.strerror(errno.ENOSPC))
    (tmp_path / "events.jsonl").unlink()
    assert Recording.open(tmp_path).damage == [recorder.failed]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("what", ["mkdir", "open"])
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number), str(tmp_path))

    with monkeypatch.context() as patch:
        if what == "mkdir":
            patch.setattr(Path, "mkdir", refuse)
        else:
            patch.setattr(tempfile, "mkstemp", refuse)
        recorder = Recorder(tmp_path / "run")
    assert_is_off(recorder, str(tmp_path))


def test_a_folder_whose_name_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a folder")
    assert_is_off(Recorder(tmp_path / "run"), "recording is off")


def test_a_folder_deleted_under_the_run(tmp_path: Path) -> None:
    import shutil

    recorder = Recorder(tmp_path / "run")
    handle = recorder.series(signals.LOSS, "0")
    handle.add(0, 1.0)
    recorder.flush()
    shutil.rmtree(tmp_path / "run")
    handle.add(1, 1.0)
    recorder.flush()
    assert_is_off(recorder, "deleted")


def hang(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Writes to segments wait until the returned event is set."""
    go_on = threading.Event()
    true_write = append_thread.write_all

    def slow(descriptor: int, data: bytes) -> None:
        go_on.wait(60)
        true_write(descriptor, data)

    monkeypatch.setattr(append_thread, "write_all", slow)
    return go_on


def test_a_disk_that_hangs_costs_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_BACKLOG", 100_000)
    monkeypatch.setattr(writer, "_CLOSE_SECONDS", 0.05)
    go_on = hang(monkeypatch)
    recorder = Recorder(tmp_path)
    add = recorder.series(signals.LOSS, "0").add
    for i in range(100_000):
        add(i, math.sin(i))
        if recorder.failed:
            break
        if i % 1000 == 0:
            recorder._pack()
    assert recorder.failed == "recording is off: the disk is too slow"
    go_on.set()
    recorder._disk.stop(30)
    assert_is_off(recorder, "too slow")


def test_close_does_not_wait_for_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_CLOSE_SECONDS", 0.05)
    go_on = hang(monkeypatch)
    recorder = Recorder(tmp_path)
    recorder.series(signals.LOSS, "0").add(0, 1.0)
    closer = threading.Thread(target=recorder.close)
    closer.start()
    closer.join(30)
    assert not closer.is_alive()
    go_on.set()
    recorder._disk.stop(30)
    recorder._disk.close(30)


def test_records_faster_than_they_can_be_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING", 1000)
    recorder = Recorder(tmp_path, flush_seconds=60)
    add = recorder.series(signals.LOSS, "0").add
    for i in range(2000):
        add(i, 1.0)
    recorder.flush()
    assert_is_off(recorder, "faster")


def test_an_internal_fault_stays_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: Any) -> bytes:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(packer, "encode_records", broken)
    recorder = Recorder(tmp_path, flush_seconds=0.01)
    recorder.series(signals.LOSS, "0").add(0, 1.0)
    assert recorder._stop.wait(30)
    assert_is_off(recorder, "ZeroDivisionError")
    assert capfd.readouterr().err == ""


def test_no_thread_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    recorder = Recorder(tmp_path)
    recorder.series(signals.LOSS, "0").add(0, 1.0)
    assert_is_off(recorder, "can't start new thread")


def test_threads_that_died_do_not_lose_the_rest(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, flush_seconds=60)
    add = recorder.series(signals.LOSS, "0").add
    add(0, 1.0)
    recorder._stop.set()
    recorder._disk.stop(30)
    add(1, 2.0)
    recorder.close()
    assert Recording.open(tmp_path).series(signals.LOSS, "0").values.tolist() == [1.0, 2.0]
