"""Ranks of one run agree on one folder without talking to each other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from losscope.watching.run_folder import rank_of, run_folder, world_size

SOURCE = Path(__file__).parents[2] / "src"
TORCHRUN = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("environment", "rank", "world"),
    [
        ({}, 0, 1),
        ({"RANK": "3", "WORLD_SIZE": "8"}, 3, 8),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}, 2, 4),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, 0, 1),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, 1, 2),
        ({"RANK": "x", "WORLD_SIZE": ""}, 0, 1),
        ({"RANK": "0", "WORLD_SIZE": "2", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, 0, 2),
    ],
)
def test_rank_and_world(environment: dict, rank: int, world: int) -> None:
    assert (rank_of(environment), world_size(environment)) == (rank, world)


def test_siblings_agree_and_another_launch_differs() -> None:
    code = "from losscope.watching.run_folder import run_folder; print(run_folder('a/train.py'), flush=True)"
    agent = (
        "import subprocess, sys\n"
        f"c = [subprocess.Popen([sys.executable, '-c', {code!r}]) for _ in range(2)]\n"
        "sys.exit(max(p.wait() for p in c))"
    )
    env = {**os.environ, **TORCHRUN, "PYTHONPATH": str(SOURCE)}
    seen = [
        subprocess.run(
            [sys.executable, "-c", agent], env=env, capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert [len(set(folders)) for folders in seen] == [1, 1]
    assert seen[0][0] != seen[1][0]
    assert seen[0][0].startswith(".losscope/train-2")


def test_ranks_on_several_machines_share_the_name_of_the_job() -> None:
    several = {**TORCHRUN, "WORLD_SIZE": "4"}
    assert run_folder("train.py", several | {"TORCHELASTIC_RUN_ID": "job/7"}) == Path(".losscope/train-job-7")
    slurm = several | {"SLURM_JOB_ID": "99"}
    assert run_folder("train.py", slurm) == Path(".losscope/train-99")
    plain = several | {"MASTER_ADDR": "node1"}
    assert run_folder("train.py", plain) == Path(".losscope/train-node1-29500")


@pytest.mark.parametrize("name", ["../../etc/passwd", "-m ../x", "", "é 🙂", "a/b/.hidden"])
def test_folder_stays_below_the_runs_folder(name: str) -> None:
    folder = run_folder(name, TORCHRUN)
    assert folder.parent == Path(".losscope") and ".." not in folder.name and "/" not in folder.name
