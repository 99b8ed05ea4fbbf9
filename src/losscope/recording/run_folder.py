"""Folders of runs: made for the owner alone, and never shared by two runs."""

import errno
import re
from datetime import UTC, datetime
from pathlib import Path

from losscope.recording.run_file import RUN_FILE, RunFile

FOLDER_MODE = 0o700
_MAX_NAMES = 10_000


def make_private(folder: Path) -> None:
    """Makes a folder and its parents, those that are new readable by the owner alone. Raises ``OSError``."""
    if folder.is_dir():
        return
    make_private(folder.parent)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def new_run_folder(base: Path | str, script_name: str) -> Path:
    """Makes ``base/<script>-<UTC time>``, which did not exist before, and returns it.

    ``base`` is the folder that holds runs, usually ``.losscope``; where it is new it gets a
    ``.gitignore``. Two processes that ask at once get two folders. Raises ``OSError``.
    """
    base = Path(base)
    if not base.is_dir():
        make_private(base)
        (base / ".gitignore").write_text("*\n", encoding="utf-8")
    name = f"{file_name(script_name)}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for attempt in range(1, _MAX_NAMES):
        folder = base / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir(mode=FOLDER_MODE)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(errno.EEXIST, "every name for a new run is taken", str(base))


def claim_run_folder(out: Path | str, script_name: str) -> Path:
    """Claims ``out`` for this process's run; where it already holds a run, a new folder inside ``out``.

    The claim is the exclusive creation of ``run.json``, so of two runs started at once with the same
    ``--out`` one gets ``out`` and the other ``out/<script>-<UTC time>``. The caller tells the user
    where the answer is not ``out``. Raises ``OSError``.
    """
    out = Path(out)
    make_private(out)
    if RunFile(out).claim():
        return out
    folder = new_run_folder(out, script_name)
    RunFile(folder).claim()
    return folder


def holds_run(folder: Path) -> bool:
    """Whether a folder has a run file (of this or another process)."""
    return (folder / RUN_FILE).exists()


def cannot_record(error: OSError, out: Path | None) -> str:
    """One line for the user: the folder of a run could not be made, so nothing is watched."""
    is_file = isinstance(error, FileExistsError | NotADirectoryError)
    why = "there is a file of this name" if is_file else error.strerror or str(error)
    return f"cannot write a record to {error.filename or out}: {why}; not watching"


def file_name(script_name: str) -> str:
    """A script's or module's name, as part of the name of a folder.

    >>> file_name("runs/train model.py"), file_name("package.train")
    ('train_model', 'package.train')
    """
    stem = Path(script_name).stem if script_name.endswith((".py", ".pyc", ".pyz")) else Path(script_name).name
    return re.sub(r"[^\w.-]+", "_", stem).strip("._-")[:80] or "run"
