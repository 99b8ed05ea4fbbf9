"""`losscope report`: from a recorded run to a verdict again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from losscope.cli.report import command, latest_run, run_folder
from losscope.core.errors import BadUsage, NotARun
from losscope.recording import signals
from losscope.recording.writer import Recorder


def record(folder: Path, steps: int = 400) -> Path:
    """A healthy falling loss on disk."""
    recorder = Recorder(folder)
    recorder.event("run-start", argv=["train.py"])
    loss = recorder.series(signals.LOSS, "0")
    noise = np.random.default_rng(0).standard_normal(steps)
    for step in range(steps):
        loss.add(step, float((0.1 + 2 * np.exp(-step / 60)) * np.exp(0.05 * noise[step])))
    recorder.event("script-end", status="finished", exit_code=0)
    recorder.close()
    return folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    record(tmp_path / ".losscope" / "train-old")
    new = record(tmp_path / ".losscope" / "train-new")
    os.utime(tmp_path / ".losscope" / "train-old" / "run.json", (1, 1))
    (tmp_path / ".losscope" / "not-a-run").mkdir()
    return new


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_latest_run_is_shown_where_none_is_named(runs: Path) -> None:
    assert latest_run(Path(".losscope")).name == "train-new"
    assert "Training works" in invoke()


def test_a_run_can_be_named_by_folder_or_by_a_file_in_it(runs: Path) -> None:
    text = invoke(str(runs), "--format", "json")
    (runs / "verdict.json").write_text(text, encoding="utf-8")
    assert invoke(str(runs / "verdict.json"), "--format", "json") == text
    assert json.loads(text)["training"]["steps"] == 400
    assert run_folder(".").name == "train-new"


@pytest.mark.parametrize(
    ("format", "start"), [("html", "<!doctype html>"), ("markdown", "## "), ("json", "{")]
)
def test_every_format_to_standard_output_and_to_a_file(runs: Path, format: str, start: str) -> None:
    text = invoke("--format", format)
    assert text.startswith(start)
    assert invoke("--format", format, "-o", "out") == ""
    assert Path("out").read_text("utf-8") == text


def test_chinese(runs: Path) -> None:
    assert "训练" in invoke("--lang", "zh")
    assert 'lang="zh-Hans"' in invoke("--lang", "zh", "--format", "html")


def test_bad_input(runs: Path) -> None:
    for arguments in (["nowhere"], [".losscope/not-a-run"]):
        with pytest.raises(NotARun):
            CliRunner().invoke(command, arguments, catch_exceptions=False)
    with pytest.raises(BadUsage, match="cannot write"):
        CliRunner().invoke(command, ["-o", "no/such/folder/x"], catch_exceptions=False)
    assert CliRunner().invoke(command, ["--format", "sarif"]).exit_code == 2


def test_no_run_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotARun, match="no recorded run found"):
        run_folder("")


def test_the_whole_command_line_without_torch(runs: Path) -> None:
    """Bad input is one line and exit code 2; rendering a run does not import torch."""
    script = "import sys; from losscope.cli.main import main; code = main(sys.argv[1:]); "
    script += "assert 'torch' not in sys.modules; sys.exit(code)"
    bad = subprocess.run(
        [sys.executable, "-c", script, "report", "nowhere"], capture_output=True, text=True, check=False
    )
    assert (bad.returncode, bad.stdout) == (2, "")
    assert len(bad.stderr.splitlines()) == 1
    good = subprocess.run(
        [sys.executable, "-c", script, "report", "--format", "html"], capture_output=True, check=False
    )
    assert good.returncode == 0, good.stderr
    assert good.stdout.decode("utf-8").startswith("<!doctype html>")
