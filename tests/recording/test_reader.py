"""Opening runs, whole, damaged and none."""

import json
import os
from pathlib import Path

import pytest

from losscope.core.errors import DamagedRecording, NotARun
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.series import Series
from losscope.recording.writer import Recorder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    recorder = Recorder(tmp_path / "run")
    for step in range(10):
        recorder.series(signals.LOSS, "0").add(step, 1.0 / (step + 1))
    recorder.event("anatomy", step=0, stream="0")
    recorder.update_run(seed=7)
    recorder.close()
    return tmp_path / "run"


def test_a_whole_run(run: Path) -> None:
    recording = Recording.open(run)
    assert recording.run["seed"] == 7
    assert recording.labels(signals.LOSS) == ["0"]
    assert recording.labels(signals.ACCURACY) == []
    assert recording.ranks == [0]
    assert len(recording.series(signals.ACCURACY, "0")) == 0
    assert recording.events_of("anatomy")[0]["stream"] == "0"
    assert recording.damage == []
    assert len(Recording.open(str(run)).series("loss", "0")) == 10


def test_a_run_that_is_still_written_can_be_read(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.series(signals.LOSS, "0").add(0, 1.0)
    recorder.flush()
    assert len(Recording.open(tmp_path).series(signals.LOSS, "0")) == 1
    recorder.close()


def test_steps_out_of_order_and_twice_keep_the_order_of_writing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for step in (5, 5, 3, 9, 3):
        recorder.series(signals.LOSS, "0").add(step, step / 3)
    recorder.close()
    assert Recording.open(tmp_path).series(signals.LOSS, "0").steps.tolist() == [5, 5, 3, 9, 3]


def test_what_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text('{"made by": "another tool"}')
    (tmp_path / "empty").mkdir()
    for name in ("missing", "file", "empty", "other"):
        with pytest.raises(NotARun, match=name):
            Recording.open(tmp_path / name)


def test_a_missing_or_torn_run_file_is_damage(run: Path) -> None:
    (run / "run.json").write_text('{"losscope": "0.1')
    recording = Recording.open(run)
    assert recording.run == {}
    assert recording.damage == ["run.json is not readable as JSON"]
    (run / "run.json").unlink()
    recording = Recording.open(run)
    assert recording.damage == ["run.json is missing"]
    assert len(recording.series(signals.LOSS, "0")) == 10


def test_a_run_file_alone_is_a_run_without_records(run: Path) -> None:
    next((run / "segments").glob("*.seg")).unlink()
    (run / "events.jsonl").unlink()
    recording = Recording.open(run)
    assert recording.events == []
    assert recording.ranks == []
    assert len(recording.series(signals.LOSS, "0")) == 0


def test_torn_and_foreign_lines_of_events_are_counted(run: Path) -> None:
    with (run / "events.jsonl").open("ab") as file:
        file.write(
            b'{"kind": "model", "step": 1}\n[1]\n\xff\xfe\nnull\n{"no": "kind"}\n' + b"[" * 100_000 + b"\n"
        )
        file.write(b'{"kind": "mod')
    recording = Recording.open(run)
    assert [e["event"] for e in recording.events] == ["anatomy", "model"]
    assert recording.damage == ["events.jsonl: 6 line(s) are torn or damaged and were skipped"]


def test_other_files_in_the_folders_are_left_alone(run: Path) -> None:
    (run / "segments" / "notes.seg").write_text("mine")
    (run / "events-old.jsonl").write_text("mine")
    assert Recording.open(run).damage == []


def test_the_main_process_is_the_one_of_the_run_file(run: Path) -> None:
    own = run / "segments" / f"0-{os.getpid()}.seg"
    (run / "segments" / "0-99.seg").write_bytes(own.read_bytes())
    assert Recording.open(run).pids() == [os.getpid(), 99]
    (run / "run.json").write_text(json.dumps({"losscope": "0", "pid": 99}))
    assert Recording.open(run).pids() == [99, os.getpid()]


def test_without_a_main_process_the_one_with_most_records_counts(run: Path) -> None:
    (run / "segments" / f"0-{os.getpid()}.seg").rename(run / "segments" / "0-77.seg")
    recording = Recording.open(run)
    assert recording.pids() == [77]
    assert len(recording.series(signals.LOSS, "0")) == 10
    assert len(recording.series(signals.LOSS, "0", pid=1)) == 0


def test_a_file_that_cannot_be_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DamagedRecording, match="Permission denied"):
        Recording.open(run)


def test_from_memory() -> None:
    recording = Recording.from_memory(
        {
            (signals.LOSS, "0"): ([0, 5, 6], [1.0, 2.0, 3.0]),
            ("loss", "1"): [4.0, 5.0, 6.0],
            (signals.ACCURACY, "0/0"): Series.of([3], [0.5]),
        },
        [{"kind": "anatomy", "stream": "0"}],
        {"pid": 3},
    )
    assert recording.series(signals.LOSS, "0").steps.tolist() == [0, 5, 6]
    assert recording.series(signals.LOSS, "1").values.tolist() == [4.0, 5.0, 6.0]
    assert recording.labels(signals.LOSS) == ["0", "1"]
    assert recording.events_of("anatomy") == [{"kind": "anatomy", "stream": "0", "event": "anatomy"}]
    assert recording.ranks == [0]
    assert recording.run == {"pid": 3}
    assert recording.damage == []


def test_a_series_needs_as_many_steps_as_values() -> None:
    with pytest.raises(ValueError, match="as many steps"):
        Series.of([1, 2], [1.0])
