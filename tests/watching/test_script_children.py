"""Children of a watched script, with the real torch: loader workers stay unwatched, spawned trainers record."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_losscope.py")
SOURCE = Path(__file__).parents[2] / "src"

LOADER = """
import torch
from torch.utils.data import DataLoader, TensorDataset

if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = TensorDataset(torch.arange(8.0))
    for batch in DataLoader(data, batch_size=4, shuffle=True, num_workers=2, multiprocessing_context="{method}"):
        print(batch)
    print(torch.rand(1))
"""

TRAINERS = """
import os, sys, torch, torch.multiprocessing as mp

def train(rank, text):
    torch.set_num_threads(1)
    print(rank, text, __name__, flush=True)

if __name__ == "__main__":
    mp.spawn(train, args=("hi",), nprocs=1)
    for method in ("forkserver", "fork"):
        child = mp.get_context(method).Process(target=train, args=(1, method))
        child.start(); child.join()
        print(child.exitcode, flush=True)
"""

FAILING = """
import torch.multiprocessing as mp

def train(rank):
    raise ValueError("in child")

if __name__ == "__main__":
    mp.get_context("spawn").Process(target=train, args=(0,)).start()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Every python here finds the fake session; it notes its calls in ``log``."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import fake_losscope\nfake_losscope.install()\n")
    python_path = os.pathsep.join([str(site), str(FAKE.parent), str(SOURCE)])
    folder = tmp_path / "run"
    folder.mkdir()
    return {"PATH": os.environ["PATH"], "PYTHONPATH": python_path, "FAKE_SESSION_FOLDER": str(folder)}


def both(folder: Path, script: str, environment: dict) -> tuple[tuple, tuple, list]:
    """What python printed, what losscope printed, and what the sessions were told."""
    (folder / "s.py").write_text(script)
    done = [
        subprocess.run(
            [sys.executable, *start, "s.py"],
            cwd=folder,
            env=environment | extra,
            capture_output=True,
            timeout=120,
            check=False,
        )
        for start, extra in (([], {}), ([str(FAKE), "run"], {"FAKE_SESSION_LOG": str(folder / "log")}))
    ]
    python, ours = ((d.stdout, d.stderr, d.returncode) for d in done)
    return python, ours, [json.loads(line) for line in (folder / "log").read_text().splitlines()]


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.thorough)])
def test_loader_workers_are_not_watched(method: str, tmp_path: Path, environment: dict) -> None:
    python, ours, calls = both(tmp_path, LOADER.format(method=method), environment)
    assert ours == python and python[2] == 0
    assert [call[1:] for call in calls if call[1] != "fork"] == [
        ["start", "s.py", False],
        ["ended", "finished", 0, None],
        ["finish"],
    ]
    assert len([call for call in calls if call[1] == "fork"]) == (2 if method == "fork" else 0)


def test_spawned_trainers_record_for_themselves(tmp_path: Path, environment: dict) -> None:
    python, ours, calls = both(tmp_path, TRAINERS, environment)
    assert ours == python and python[2] == 0
    main = calls[0][0]
    children = {call[0] for call in calls} - {main}
    assert len(children) == 3
    for child in children:
        told = [call[1:] for call in calls if call[0] == child and call[1] != "fork"]
        assert told[0][0::2] == ["start", True] and [t[0] for t in told] == ["start", "ended", "finish"]


@pytest.mark.thorough
def test_traceback_of_a_spawned_child_shows_no_frame_of_ours(tmp_path: Path, environment: dict) -> None:
    python, ours, _ = both(tmp_path, FAILING, environment)
    assert ours == python
    assert b"in child" in ours[1] and b"losscope" not in ours[1]
