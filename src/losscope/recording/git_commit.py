"""The commit that a folder's git checkout stands at, read from files; git itself is not run."""

import re
from pathlib import Path

_MAX_FILE = 4 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def commit_of(folder: Path) -> str | None:
    """The full hash of ``HEAD`` of the checkout around ``folder``; ``None`` where none can be read."""
    try:
        return _commit_of(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # unreadable, not text, a loop of links
        return None


def _commit_of(folder: Path) -> str | None:
    for parent in (folder, *folder.parents):
        git = parent / ".git"
        if git.exists():
            return _head(_git_folder(git))
    return None


def _git_folder(git: Path) -> Path:
    """``.git`` itself, or where a worktree's or submodule's ``.git`` file points to."""
    if git.is_dir():
        return git
    return (git.parent / _text(git).removeprefix("gitdir:").strip()).resolve()


def _head(git: Path) -> str | None:
    head = _text(git / "HEAD").strip()
    if not head.startswith("ref:"):
        return _hash(head)
    name = head.removeprefix("ref:").strip()
    if ".." in name or name.startswith("/"):
        return None
    common = git / "commondir"
    root = (git / _text(common).strip()).resolve() if common.exists() else git
    if (root / name).exists():
        return _hash(_text(root / name).strip())
    packed = root / "packed-refs"
    lines = _text(packed).splitlines() if packed.exists() else []
    return next((_hash(line.split()[0]) for line in lines if line.endswith(f" {name}")), None)


def _hash(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_FILE).decode("utf-8")
