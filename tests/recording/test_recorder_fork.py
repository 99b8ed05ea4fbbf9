"""A recorder whose process forks: the child writes nothing, the parent goes on."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from losscope.recording import signals, writer
from losscope.recording.reader import Recording
from losscope.recording.writer import Recorder


def in_child(action: Callable[[], bool]) -> int:
    """The exit status of a forked child that runs ``action``: 0 where it returned true."""
    pid = os.fork()
    if pid == 0:
        status = 9
        try:
            status = 0 if action() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_writes_nothing_and_the_parent_goes_on(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, flush_seconds=0.01)
    handle = recorder.series(signals.LOSS, "0")
    handle.add(0, 1.0)
    recorder.event("model", number=1)

    def child() -> bool:
        handle.add(1, -1.0)
        recorder.series(signals.LOSS, "1").add(0, -1.0)
        recorder.event("model", number=2)
        recorder.update_run(child=True)
        recorder.flush()
        recorder.close()
        return recorder.failed is not None and len(handle) == 0

    assert in_child(child) == 0
    handle.add(1, 2.0)
    assert in_child(child) == 0
    handle.add(2, 3.0)
    recorder.close()
    recording = Recording.open(tmp_path)
    assert recording.series(signals.LOSS, "0").values.tolist() == [1.0, 2.0, 3.0]
    assert recording.labels(signals.LOSS) == ["0"]
    assert [e["number"] for e in recording.events] == [1]
    assert "child" not in recording.run
    assert recording.damage == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_no_thread_of_ours_runs_during_a_fork(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    add = recorder.series(signals.LOSS, "0").add
    add(0, 1.0)
    assert recorder._disk.alive
    seen: list[bool] = []
    true_stop = recorder._disk.stop
    recorder._disk.stop = lambda timeout: (true_stop(timeout), seen.append(recorder._disk.alive))[0]  # type: ignore[method-assign]
    assert in_child(lambda: True) == 0
    assert seen == [False]
    assert len(Recording.open(tmp_path).series(signals.LOSS, "0")) == 1
    add(1, 2.0)
    assert recorder._disk.alive
    recorder.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_trainer_records_on_its_own(tmp_path: Path) -> None:
    parent = Recorder(tmp_path)
    parent.series(signals.LOSS, "0").add(0, 1.0)

    def child() -> bool:
        own = Recorder(tmp_path)
        for step in range(5):
            own.series(signals.LOSS, "0").add(step, 2.0)
        own.close()
        return own.failed is None

    assert in_child(child) == 0
    parent.close()
    recording = Recording.open(tmp_path)
    assert recording.pids() == [os.getpid(), *(p for p in recording.pids() if p != os.getpid())]
    assert recording.series(signals.LOSS, "0").values.tolist() == [1.0]
    (other,) = (pid for pid in recording.pids() if pid != os.getpid())
    assert recording.series(signals.LOSS, "0", pid=other).values.tolist() == [2.0] * 5


def test_planted_a_recorder_that_ignores_the_fork_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "_after_fork_in_child", lambda self: None)
    monkeypatch.setattr(writer.os, "getpid", lambda: 1)
    with pytest.raises(AssertionError):
        test_a_forked_child_writes_nothing_and_the_parent_goes_on(tmp_path)
