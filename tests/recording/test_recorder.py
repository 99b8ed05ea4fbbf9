"""The recorder: what is added is read; what goes wrong never reaches the training."""

import math
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.writer import Recorder

KEYS = [(signals.LOSS, "0"), (signals.LOSS, "1"), (signals.GRADIENT_NORM_PARAMETER, "fc1.weight ü\ud800\n")]
RECORD = st.tuples(
    st.integers(0, 2), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=True, allow_infinity=True)
)


def hex_values(values: Any) -> list[str]:
    return [float(v).hex() for v in values]


@settings(max_examples=60)
@given(st.lists(st.lists(RECORD, max_size=30), max_size=4))
@example([[(0, 2007, 0.0), (0, -(2**63) + 2006, 0.0)]])  # their difference does not fit into 64 bits
def test_round_trip(bursts: list[list[tuple[int, int, float]]]) -> None:
    expected: dict[int, list[tuple[int, str]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(folder)
        adders = [recorder.series(*key).add for key in KEYS]
        for burst in bursts:
            for which, step, value in burst:
                adders[which](step, value)
                expected[which].append((step, value.hex()))
            recorder.flush()
        recorder.close()
        recording = Recording.open(folder)
    assert recorder.failed is None
    assert recording.damage == []
    for which, key in enumerate(KEYS):
        series = recording.series(*key)
        got = list(zip(series.steps.tolist(), hex_values(series.values), strict=True))
        assert got == expected[which]


def test_many_records_of_one_burst_are_split_into_frames(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    a, b = recorder.series(signals.LOSS, "0"), recorder.series(signals.STEP_TIME, "0")
    for i in range(50_000):
        a.add(i, i / 7)
        b.add(i, i * 1e-6)
    recorder.close()
    recording = Recording.open(tmp_path)
    assert recording.series(signals.LOSS, "0").values.tolist() == [i / 7 for i in range(50_000)]
    assert recording.series(signals.STEP_TIME, "0").steps.tolist() == list(range(50_000))


def test_records_of_many_threads_all_arrive_in_each_threads_order(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, flush_seconds=0.01)
    add = recorder.series(signals.LOSS, "0").add
    threads = [
        threading.Thread(target=lambda k=k: [add(i, k + i / 10_000) for i in range(5000)]) for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    series = Recording.open(tmp_path).series(signals.LOSS, "0")
    for k in range(4):
        mine = [v for v in series.values.tolist() if k <= v < k + 1]
        assert mine == [k + i / 10_000 for i in range(5000)]


def test_numbers_of_other_types_are_taken_and_other_values_counted(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    recorder = Recorder(tmp_path)
    handle = recorder.series(signals.LOSS, "0")
    handle.add(numpy.int64(3), numpy.float32(0.5))
    handle.add(4, True)
    handle.add(5, "no number")  # type: ignore[arg-type]
    handle.add(1 << 70, 1.0)
    handle.add(6, 10**400)
    handle.add(7, None)  # type: ignore[arg-type]
    handle.add(8, 2)
    recorder.close()
    series = Recording.open(tmp_path).series(signals.LOSS, "0")
    assert series.steps.tolist() == [3, 4, 8]
    assert series.values.tolist() == [0.5, 1.0, 2.0]
    assert recorder.rejected == 4


def test_handles_are_the_same_for_the_same_series(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    assert recorder.series(signals.LOSS, "0") is recorder.series(signals.LOSS, "0")
    assert recorder.series(signals.LOSS, "0") is not recorder.series(signals.LOSS, "1")
    recorder.close()


def test_events_are_on_disk_at_once_and_may_hold_anything(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.event("evaluation", label="valid", kind="cross_entropy", step=3, loss=math.nan, shape=(1, 2))
    recorder.event("fault", error=ValueError("x"), where=object(), keys={1: {2}}, low=-math.inf)
    recorder.event("run-start", argv=["train.py", "--token", "hunter2"])
    recording = Recording.open(tmp_path)
    (evaluation,) = recording.events_of("evaluation")
    assert evaluation["kind"] == "cross_entropy"
    assert (evaluation["loss"], evaluation["shape"]) == ("nan", [1, 2])
    (fault,) = recording.events_of("fault")
    assert fault["kind"] == "fault"
    assert (fault["keys"], fault["low"]) == ({"1": [2]}, "-inf")
    assert recording.events_of("run-start")[0]["argv"] == ["train.py", "--token", "[redacted]"]
    assert all(isinstance(event["time"], float) for event in recording.events)
    recorder.close()


class Hostile(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("planted")


def test_an_object_that_raises_costs_its_event_only(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.event("model", parameters=Hostile(a=1))
    recorder.update_run(options=Hostile(a=1))
    recorder.event("model", number=2)
    recorder.close()
    assert recorder.failed is None
    recording = Recording.open(tmp_path)
    assert [e["number"] for e in recording.events_of("model")] == [2]
    assert [e["where"] for e in recording.events_of("fault")] == ["event model", "update_run"]
    assert recording.events_of("fault")[0]["error"] == "RuntimeError: planted"


def test_files_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        recorder = Recorder(tmp_path / "new" / "run")
        recorder.series(signals.LOSS, "0").add(0, 1.0)
        recorder.event("model")
        recorder.close()
    finally:
        os.umask(before)
    made = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert len(made) == 6
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_two_recorders_of_one_process_in_one_folder(tmp_path: Path) -> None:
    first, second = Recorder(tmp_path), Recorder(tmp_path)
    for recorder, value in ((first, 1.0), (second, 2.0)):
        recorder.series(signals.LOSS, "0").add(0, value)
        recorder.close()
    recording = Recording.open(tmp_path)
    assert recording.series(signals.LOSS, "0").values.tolist() == [1.0, 2.0]
    assert recording.damage == []


def test_ranks_have_segments_and_events_of_their_own(tmp_path: Path) -> None:
    for rank in (1, 0):
        recorder = Recorder(tmp_path, rank)
        recorder.series(signals.LOSS, "0").add(0, float(rank))
        recorder.event("model", number=rank)
        recorder.close()
    recording = Recording.open(tmp_path)
    assert recording.ranks == [0, 1]
    assert recording.series(signals.LOSS, "0", rank=1).values.tolist() == [1.0]
    assert [e["number"] for e in recording.events_of("model", rank=1)] == [1]
    assert [e["number"] for e in recording.events] == [0]
    assert len(recording.series(signals.LOSS, "0", rank=2)) == 0


def test_close_is_idempotent_and_later_calls_do_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    handle = recorder.series(signals.LOSS, "0")
    handle.add(0, 1.0)
    recorder.close()
    recorder.close()
    handle.add(1, 2.0)
    recorder.series(signals.LOSS, "new").add(0, 1.0)
    recorder.event("model")
    recorder.update_run(seed=1)
    recorder.flush()
    recording = Recording.open(tmp_path)
    assert len(recording.series(signals.LOSS, "0")) == 1
    assert recording.labels(signals.LOSS) == ["0"]
    assert recording.events == []
    assert len(handle) == 0


def test_a_recorder_never_closed_is_flushed_at_exit(tmp_path: Path) -> None:
    code = (
        "from losscope.recording import signals\nfrom losscope.recording.writer import Recorder\n"
        "import sys, threading\nr = Recorder(sys.argv[1])\nadd = r.series(signals.LOSS, '0').add\n"
        "[add(i, i) for i in range(1000)]\nassert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path)], check=True, timeout=60)
    assert len(Recording.open(tmp_path).series(signals.LOSS, "0")) == 1000


@pytest.mark.skipif(not hasattr(signal, "sigwait"), reason="there is no sigwait on this system")
def test_our_threads_take_no_signal_that_the_script_waits_for(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom losscope.recording import signals\n"
        "from losscope.recording.writer import Recorder\n"
        "r = Recorder(sys.argv[1])\nr.series(signals.LOSS, '0').add(0, 1.0)\nr.flush()\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "assert signal.sigwait({signal.SIGUSR1}) == signal.SIGUSR1\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
