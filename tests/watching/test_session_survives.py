"""The real session against scripts that treat their process roughly; each once failed or would fail silently."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from forked import server

from losscope.watching.conditions import usual_conditions
from losscope.watching.turns import Turns
from losscope.watching.voice import Voice

TRAIN = """
import os, sys, torch
torch.manual_seed(0)
w = torch.zeros(3, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.05)
x = torch.randn(16, 3)
y = x @ torch.tensor([1.0, 2.0, 3.0])

def train(steps=60):
    for _ in range(steps):
        loss = torch.nn.functional.mse_loss(x @ w, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

"""


def run(tmp_path: Path, script: str, *options: str) -> subprocess.CompletedProcess:
    (tmp_path / "s.py").write_text(TRAIN + script)
    return server().run(["-m", "losscope", "run", *options, tmp_path / "s.py"], tmp_path, dict(os.environ))


def run_unwatched(tmp_path: Path, script: str) -> subprocess.CompletedProcess:
    (tmp_path / "s.py").write_text(TRAIN + script)
    return server().run([tmp_path / "s.py"], tmp_path, dict(os.environ))


def verdict(folder: Path) -> dict:
    return json.loads((folder / "verdict.json").read_text())


def about(steps: int) -> object:
    """The governor may leave out a few of the last updates of so short a run."""
    return pytest.approx(steps, abs=8)


@pytest.mark.thinned(3)
@pytest.mark.parametrize(
    "rough",
    [
        "sys.stdout.close(); sys.stderr.close()",
        "os.close(2)",
        "sys.stderr = sys.stdout = None",
        "import io; sys.stderr = io.StringIO()",
        "sys.stderr = type('Broken', (), {'flush': lambda self: None})()",
        "import warnings; warnings.simplefilter('error')",
        "import numpy; numpy.seterr(all='raise')",
        "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
        "sys.setrecursionlimit(90)",
    ],
)
def test_verdict_and_exit_code_survive(tmp_path: Path, rough: str) -> None:
    done = run(tmp_path, f"train()\n{rough}\nraise SystemExit(3)", "--out", "run")
    assert done.returncode == 3, done.stderr
    assert verdict(tmp_path / "run")["training"]["steps"] == about(60)
    if "close" not in rough:
        assert "losscope" in done.stderr
        assert "fault" not in done.stderr


def test_default_folder_stays_where_the_run_began(tmp_path: Path) -> None:
    done = run(tmp_path, "os.mkdir('other')\nos.chdir('other')\ntrain()")
    assert done.returncode == 0
    (folder,) = (tmp_path / ".losscope").glob("s-*")
    assert verdict(folder)["training"]["steps"] == about(60)
    assert not (tmp_path / "other" / ".losscope").exists()


def test_watch_inside_a_watched_run_takes_over_while_it_lasts(tmp_path: Path) -> None:
    script = """
import losscope
train(40)
with losscope.watch(out="inner") as watching:
    train(50)
print(watching.verdict.state)
train(40)
"""
    done = run(tmp_path, script, "--out", "outer")
    assert (done.returncode, done.stdout) == (0, "healthy\n"), done.stderr
    assert verdict(tmp_path / "inner")["training"]["steps"] == about(50)
    assert verdict(tmp_path / "outer")["training"]["steps"] == about(80)
    assert "inner" in (tmp_path / "outer" / "events.jsonl").read_text()


def test_watch_of_an_abandoned_generator_ends_without_a_fault(tmp_path: Path) -> None:
    script = """
import losscope
def steps():
    with losscope.watch(out="run"):
        for _ in range(100):
            train(1)
            yield
generator = steps()
for _ in range(40):
    next(generator)
del generator
train(5)
"""
    done = run_unwatched(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert verdict(tmp_path / "run")["training"]["steps"] == about(40)
    assert '"status":"finished"' in (tmp_path / "run" / "events.jsonl").read_text()


def test_tracing_sees_the_users_operations_only(tmp_path: Path) -> None:
    script = """
train()
traced = torch.jit.trace(lambda p: torch.nn.functional.mse_loss(p, y), (x @ w.detach(),))
print(str(traced.graph).count("aten::"))
"""
    expected = run_unwatched(tmp_path, script)
    assert expected.stdout and run(tmp_path, script).stdout == expected.stdout


def test_meta_tensors_are_not_read(tmp_path: Path) -> None:
    script = """
train()
with torch.no_grad():
    torch.nn.functional.mse_loss(torch.empty(4, device="meta"), torch.empty(4, device="meta"))
"""
    assert run(tmp_path, script, "--out", "run").returncode == 0
    assert '"fault"' not in (tmp_path / "run" / "events.jsonl").read_text()


@pytest.mark.parametrize("closed", ["stdin", "stdout", "stderr"])
def test_streams_closed_by_the_shell(tmp_path: Path, closed: str) -> None:
    (tmp_path / "s.py").write_text("raise SystemExit(4)")
    number = ("stdin", "stdout", "stderr").index(closed)
    close = f"exec {sys.executable} -m losscope run --out run s.py {number}>&-"
    assert subprocess.run(["sh", "-c", close], cwd=tmp_path, check=False, timeout=120).returncode == 4


def test_out_that_is_a_file_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = run(tmp_path, "train()", "--out", "taken")
    assert done.returncode == 0
    assert (
        done.stderr
        == "losscope: cannot write a record to taken: there is a file of this name; not watching\n"
    )


def test_script_seconds_do_not_count_the_watch_twice(tmp_path: Path) -> None:
    run_unwatched(tmp_path, "import losscope\nwith losscope.watch(out='run'):\n    train()\n")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["script_seconds"] > 0


def test_voice_falls_back_to_the_stream_before(capsys: pytest.CaptureFixture, monkeypatch) -> None:
    voice = Voice()
    monkeypatch.setattr(sys, "stderr", None)
    voice.say("one\nline \ud800")
    assert capsys.readouterr().err == "losscope: one line \\ud800\n"


def test_usual_conditions_are_put_back() -> None:
    limit = sys.getrecursionlimit()
    with pytest.raises(ValueError, match="x"), usual_conditions():
        raise ValueError("x")
    assert sys.getrecursionlimit() == limit


class Session:
    def __init__(self, log: list[str], name: str) -> None:
        self.folder, self.log, self.name = Path(name), log, name

    def pause(self, folder: Path) -> None:
        self.log.append(f"{self.name} pauses for {folder}")

    def resume(self) -> None:
        self.log.append(f"{self.name} resumes")


def test_turns_in_any_order_of_ending() -> None:
    log: list[str] = []
    a, b, c = (Session(log, name) for name in "abc")
    turns = Turns()
    for session in (a, b, c):
        turns.take(session)
    turns.leave(b)  # out of order: c still has its turn
    turns.leave(b)
    turns.leave(c)
    turns.leave(a)
    assert log == ["a pauses for b", "b pauses for c", "a resumes"]


def test_a_compiled_step_is_not_traced_into_our_hooks(tmp_path: Path) -> None:
    script = """
@torch.compile(backend="eager")
def step():
    loss = torch.nn.functional.mse_loss(x @ w, y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()

for _ in range(5):
    step()
print(torch._dynamo.utils.counters["stats"]["unique_graphs"])
"""
    expected = run_unwatched(tmp_path, script)
    assert expected.stdout and run(tmp_path, script).stdout == expected.stdout
