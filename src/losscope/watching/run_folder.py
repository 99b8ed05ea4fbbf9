"""Which folder a run is recorded in, and which rank of it this process is.

Ranks of one training are started as separate processes that cannot yet talk to each other, and must agree on
one folder. They share a parent, the launcher's agent, so the folder carries the time at which that parent
started. Ranks on several machines have no parent in common: they share what the job is called.
"""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from losscope.recording.run_folder import file_name

RUNS = Path(".losscope")

_RANK = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
_WORLD = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_LOCAL_WORLD = ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE", "OMPI_COMM_WORLD_LOCAL_SIZE")
_JOB = ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "OMPI_MCA_ess_base_jobid")


def rank_of(environment: Mapping[str, str] = os.environ) -> int:
    """Index of this process among all that train together; 0 where there is only one.

    >>> rank_of({"RANK": "3", "WORLD_SIZE": "8"})
    3
    """
    for rank, world in zip(_RANK, _WORLD, strict=True):
        if _number(environment, rank) is not None and _number(environment, world) != 1:
            return _number(environment, rank) or 0
    return 0


def world_size(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes train together, as far as their launcher says so."""
    return next((n for name in _WORLD if (n := _number(environment, name))), 1)


def run_folder(script: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The one folder of several ranks, found by each of them alone. Nothing is created.

    ``.losscope/<script>-<UTC time at which the common parent started>-<its process id>`` where all ranks run
    on this machine, else ``.losscope/<script>-<name of the job>``: a job of the same name run again needs
    ``--out``.
    """
    name = file_name(script)
    world = world_size(environment)
    local = next((n for key in _LOCAL_WORLD if (n := _number(environment, key))), world)
    if local == world:
        return RUNS / f"{name}-{_stamp(_start_of(os.getppid()))}-{os.getppid()}"
    job = next((value for key in _JOB if (value := environment.get(key, "")) not in ("", "none")), "")
    job = job or f"{environment.get('MASTER_ADDR', 'job')}-{environment.get('MASTER_PORT', '0')}"
    return RUNS / f"{name}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', job)}"


def _number(environment: Mapping[str, str], name: str) -> int | None:
    value = environment.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else None


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def _start_of(process: int) -> float:
    """Unix time at which a process started, from /proc; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime")
        )
    except (OSError, StopIteration):
        return 0.0
    return boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
