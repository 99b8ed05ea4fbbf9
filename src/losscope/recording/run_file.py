"""``run.json``: what was run, with what, and where; without secrets."""

import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from losscope.core.files import replace_atomically, temporary_neighbour
from losscope.recording.git_commit import commit_of
from losscope.recording.json_safe import json_safe
from losscope.recording.redaction import redact_arguments

RUN_FILE = "run.json"
PACKAGES = ("torch", "numpy", "lightning", "transformers", "accelerate", "keras", "fastai", "deepspeed")
ENVIRONMENT = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "SLURM_JOB_ID", "SLURM_PROCID"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE"),
    *("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED"),
    *("KERAS_BACKEND", "ACCELERATE_MIXED_PRECISION"),
)
"""The only environment variables that are written down: a list of what may be seen, not of what is hidden."""


class RunFile:
    """The run file of one process. Every method may raise ``OSError``.

    The process of rank 0 that creates ``run.json`` first is the *main* one of the run; others (further
    ranks, forked or spawned trainers) write ``run-RANK-PID.json`` beside it.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self._folder, self._rank = folder, rank
        self._path = folder / RUN_FILE
        self._fields: dict[str, Any] = {}

    def claim(self) -> bool:
        """Creates ``run.json`` unless there is one; whether this process is now the main one."""
        self._fields = describe_process(self._rank)
        return _create(self._path, _rendered(self._fields))

    def create(self) -> None:
        """Claims ``run.json``, or takes up the claim that this process made earlier, or steps aside."""
        if self._rank == 0 and self.claim():
            return
        self._fields = describe_process(self._rank)
        earlier = _read(self._path)
        if earlier.get("pid") == os.getpid() and earlier.get("started") == self._fields["started"]:
            self._fields = earlier
            return
        self._path = self._folder / f"run-{self._rank}-{os.getpid()}.json"
        replace_atomically(self._path, _rendered(self._fields))

    def update(self, fields: Mapping[str, Any]) -> None:
        """Sets fields and replaces the file atomically; of a file that was never created, nothing."""
        if not self._fields:
            return
        arguments = fields.get("argv")
        safe = {"argv": redact_arguments(arguments)} if isinstance(arguments, list | tuple) else {}
        self._fields |= json_safe({**fields, **safe})
        replace_atomically(self._path, _rendered(self._fields))


def describe_process(rank: int = 0) -> dict[str, Any]:
    """What is known about this process. torch is not imported: versions come from package metadata."""
    script = sys.argv[0] if sys.argv else ""
    return json_safe(
        {
            "losscope": version_of("losscope") or "unknown",
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: version for name in PACKAGES if (version := version_of(name))},
            "argv": redact_arguments(sys.argv),
            "cwd": _cwd(),
            "started": _PROCESS_START,
            "pid": os.getpid(),
            "rank": rank,
            "world_size": _whole(os.environ.get("WORLD_SIZE", "1")),
            "git_commit": commit_of(Path(script).parent) if script else None,
            "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        }
    )


def version_of(package: str) -> str | None:
    """The installed version of a package, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


_PROCESS_START = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # the folder was deleted under the process
        return ""


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 1


def _rendered(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, indent=1, allow_nan=False).encode("ascii") + b"\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes())
    except (ValueError, FileNotFoundError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _create(path: Path, content: bytes) -> bool:
    """Creates the file whole, or returns false where it exists."""
    if path.exists():
        return False
    temporary = temporary_neighbour(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        return _create_in_place(path, content)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create_in_place(path: Path, content: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return True
