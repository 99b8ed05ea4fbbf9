"""run.json and run folders."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from losscope.recording import run_file, signals
from losscope.recording.git_commit import commit_of
from losscope.recording.json_safe import dumps, json_safe
from losscope.recording.reader import Recording
from losscope.recording.run_file import RunFile
from losscope.recording.run_folder import claim_run_folder, holds_run, new_run_folder
from losscope.recording.writer import Recorder

HASH = "0123456789abcdef0123456789abcdef01234567"


def test_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "0.1", "--token", "hunter2hunter2"])
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("WANDB_API_KEY", "hunter2hunter2")
    recorder = Recorder(tmp_path)
    recorder.update_run(seed=3, loss=float("inf"), argv=["a", "--password=hunter2hunter2"])
    text = (tmp_path / "run.json").read_text()
    run = json.loads(text)
    assert "hunter2" not in text
    assert run["argv"] == ["a", "--password=[redacted]"]
    assert (run["seed"], run["loss"], run["pid"], run["rank"]) == (3, "inf", os.getpid(), 0)
    assert run["world_size"] == 4
    assert run["environment"]["WORLD_SIZE"] == "4"
    assert set(run["environment"]) <= set(run_file.ENVIRONMENT)
    assert run["packages"]["numpy"]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    recorder.close()


def test_the_recorder_and_what_it_needs_import_neither_torch_nor_numpy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom losscope.recording import signals\nfrom losscope.recording.writer import Recorder\n"
        "r = Recorder(sys.argv[1])\nr.series(signals.LOSS, '0').add(0, 1.0)\nr.close()\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


def test_a_later_process_does_not_touch_the_run_file_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"losscope": "0", "pid": 1, "started": "then"}')
    recorder = Recorder(tmp_path)
    recorder.update_run(seed=5)
    recorder.close()
    assert json.loads((tmp_path / "run.json").read_text())["pid"] == 1
    assert json.loads((tmp_path / f"run-0-{os.getpid()}.json").read_text())["seed"] == 5


def test_only_rank_0_makes_the_run_file(tmp_path: Path) -> None:
    Recorder(tmp_path, 1).close()
    assert not (tmp_path / "run.json").exists()
    Recorder(tmp_path, 0).close()
    assert json.loads((tmp_path / "run.json").read_text())["rank"] == 0
    assert json.loads((tmp_path / f"run-1-{os.getpid()}.json").read_text())["rank"] == 1


def test_a_claimed_folder_is_taken_up_by_the_recorder_of_the_same_process(tmp_path: Path) -> None:
    folder = claim_run_folder(tmp_path / "out", "train.py")
    recorder = Recorder(folder)
    recorder.update_run(seed=5)
    recorder.series(signals.LOSS, "0").add(0, 1.0)
    recorder.close()
    assert folder == tmp_path / "out"
    assert Recording.open(folder).run["seed"] == 5
    assert len(list(folder.glob("run*.json"))) == 1


def test_without_hard_links_the_claim_is_still_exclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert RunFile(tmp_path).claim()
    assert not RunFile(tmp_path).claim()
    assert run_file._create_in_place(tmp_path / "run.json", b"") is False
    assert json.loads((tmp_path / "run.json").read_text())["pid"] == os.getpid()


def _claim(out: str, answers: "multiprocessing.Queue[str]", barrier: "multiprocessing.Barrier") -> None:  # type: ignore[valid-type]
    barrier.wait(60)  # type: ignore[attr-defined]
    answers.put(str(claim_run_folder(out, "train.py")))


def test_of_runs_started_at_once_with_one_out_each_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers, barrier = context.Queue(), context.Barrier(4)
    processes = [
        context.Process(target=_claim, args=(str(tmp_path / "out"), answers, barrier)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    folders = {Path(answers.get(timeout=60)) for _ in processes}
    for process in processes:
        process.join(60)
    assert len(folders) == 4
    assert tmp_path / "out" in folders
    assert all(folder.is_relative_to(tmp_path / "out") and holds_run(folder) for folder in folders)


def test_new_folders_never_clash(tmp_path: Path) -> None:
    made = [new_run_folder(tmp_path / ".losscope", "my train.v2.py") for _ in range(5)]
    assert len(set(made)) == 5
    assert all(folder.name.startswith("my_train.v2-20") for folder in made)
    assert (tmp_path / ".losscope" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(
    "name", ["", "..", "../../x.py", "a/b c.py", "-", "\ud800.py", "x" * 500, "package.module"]
)
def test_any_script_name_makes_one_folder_inside_the_base(tmp_path: Path, name: str) -> None:
    folder = new_run_folder(tmp_path, name)
    assert folder.is_dir()
    assert folder.parent == tmp_path


def test_the_commit_is_read_from_files(tmp_path: Path) -> None:
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    inside = tmp_path / "src" / "deep"
    inside.mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert commit_of(inside) is None
    (git / "packed-refs").write_text(f"# pack-refs\n{HASH} refs/heads/main\n")
    assert commit_of(inside) == HASH
    (git / "refs" / "heads" / "main").write_text("f" * 40 + "\n")
    assert commit_of(inside) == "f" * 40
    (git / "HEAD").write_text(HASH + "\n")
    assert commit_of(inside) == HASH
    (git / "HEAD").write_bytes(b"\xff\xfe")
    assert commit_of(inside) is None
    (git / "HEAD").write_text("ref: ../../../etc/passwd\n")
    assert commit_of(inside) is None


def test_the_commit_of_a_worktree(tmp_path: Path) -> None:
    main, tree = tmp_path / "main" / ".git", tmp_path / "tree"
    (main / "worktrees" / "tree").mkdir(parents=True)
    (main / "refs" / "heads").mkdir(parents=True)
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {main / 'worktrees' / 'tree'}\n")
    (main / "worktrees" / "tree" / "HEAD").write_text("ref: refs/heads/topic\n")
    (main / "worktrees" / "tree" / "commondir").write_text("../..\n")
    (main / "refs" / "heads" / "topic").write_text(HASH)
    assert commit_of(tree) == HASH


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Huge:
    def __repr__(self) -> str:
        return "x" * 10_000


class Array:
    def __array__(self) -> None: ...

    def __repr__(self) -> str:
        raise AssertionError("printing an array may wait for the accelerator")


def test_anything_becomes_json() -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in (
        Rude(),
        Huge(),
        Array(),
        endless,
        {1, "a"},
        b"\xff",
        {Rude(): 1},
        10**5000,
        1j,
        "\ud800",
        Path("x"),
    ):
        line = dumps({"value": value})
        assert b"\n" not in line
        assert len(line) < 2000
        json.loads(line)
    assert json_safe([True, 3, 2.5, None, float("inf")]) == [True, 3, 2.5, None, "inf"]
    assert json_safe(Array()) == "<Array>"


def test_an_event_beyond_the_limit_keeps_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("losscope.recording.event_log.MAX_LINE", 1000)
    recorder = Recorder(tmp_path)
    recorder.event("reach", step=4, reached=["x" * 5000])
    recorder.close()
    (event,) = Recording.open(tmp_path).events_of("reach")
    assert event["step"] == 4
    assert event["bytes_left_out"] > 5000
