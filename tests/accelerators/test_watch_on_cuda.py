"""Watching a training on a GPU: nothing changes, and no step waits for the device on our account."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.gpu

SCRIPTS = Path(__file__).parent / "scripts"


def run(words, folder):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    done = subprocess.run(
        [sys.executable, *words], check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_watched_and_unwatched_runs_are_identical(script, tmp_path):
    plain = run([str(SCRIPTS / script)], tmp_path)
    out = tmp_path / "run"
    watched = run(
        ["-m", "losscope", "run", "--budget", "100", "--out", str(out), str(SCRIPTS / script)], tmp_path
    )
    assert watched == plain
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [e for e in events if e["event"] == "fault"] == []
    verdict = json.loads((out / "verdict.json").read_text())
    assert [f["code"] for f in verdict["findings"] if f["severity"] == "error"] == []


def test_the_loss_of_a_gpu_training_is_read(tmp_path):
    out = tmp_path / "run"
    printed = run(["-m", "losscope", "run", "--out", str(out), str(SCRIPTS / "plain_cuda.py")], tmp_path)
    verdict = json.loads((out / "verdict.json").read_text())
    assert "cross_entropy" in json.dumps(verdict)
    assert "loss" in printed
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert any(e["event"] == "optimizer" for e in events)


def test_a_captured_graph_is_named_as_a_blind_spot(tmp_path):
    out = tmp_path / "run"
    run(["-m", "losscope", "run", "--out", str(out), str(SCRIPTS / "graphed_cuda.py")], tmp_path)
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [e["what"] for e in events if e["event"] == "blind-spot"] == ["CUDA graph"]
